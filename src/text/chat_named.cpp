#include "text/chat_named.h"

#include <algorithm>
#include <array>

namespace graft {
namespace {

// No default system prompt; tools are left out, as by the models' own.
constexpr std::string_view kLlama3 = R"jinja(
{%- for message in messages -%}
  {{- bos_token if loop.first else '' -}}
  {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + message.content | trim + '<|eot_id|>' -}}
{%- endfor -%}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' if add_generation_prompt else '' -}}
)jinja";

// Gemma 1 and 2 in turns of user and model; they know no system turn.
constexpr std::string_view kGemma = R"jinja(
{{- bos_token -}}
{%- for message in messages -%}
  {%- if loop.first and message.role == 'system' -%}
    {{- raise_exception('this template knows no system turn: put it into the first question') -}}
  {%- endif -%}
  {%- if (loop.index0 % 2 == 0) != (message.role == 'user') -%}
    {{- raise_exception('turns must go user, assistant, user, assistant, ...') -}}
  {%- endif -%}
  {%- set role = 'model' if message.role == 'assistant' else message.role -%}
  {{- '<start_of_turn>' + role + '\n' + message.content | trim + '<end_of_turn>\n' -}}
{%- endfor -%}
{{- '<start_of_turn>model\n' if add_generation_prompt else '' -}}
)jinja";

// Roles that Phi-3 does not know are left out; a whole conversation ends in EOS.
constexpr std::string_view kPhi3 = R"jinja(
{%- for message in messages if message.role in ['system', 'user', 'assistant'] -%}
  {{- '<|' + message.role + '|>\n' + message.content + '<|end|>\n' -}}
{%- endfor -%}
{{- '<|assistant|>\n' if add_generation_prompt else eos_token -}}
)jinja";

// Qwen 2 and 2.5: ChatML with a default system prompt, tools in Hermes' words.
constexpr std::string_view kQwen = R"jinja(
{%- set first = messages[0] -%}
{%- set default = 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' -%}
{{- '<|im_start|>system\n' + (first.content if first.role == 'system' else default) -}}
{%- if tools -%}
  {{- '\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with' -}}
  {{- ' function signatures within <tools></tools> XML tags:\n<tools>' -}}
  {%- for tool in tools -%}{{- '\n' + tool | tojson -}}{%- endfor -%}
  {{- '\n</tools>\n\nFor each function call, return a json object with function name and arguments within' -}}
  {{- ' <tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments":' -}}
  {{- ' <args-json-object>}\n</tool_call>' -}}
{%- endif -%}
{{- '<|im_end|>\n' -}}
{%- for message in messages -%}
  {%- if message.role == 'tool' -%}
    {%- set opens = loop.first or messages[loop.index0 - 1].role != 'tool' -%}
    {%- set closes = loop.last or messages[loop.index0 + 1].role != 'tool' -%}
    {{- ('<|im_start|>user' if opens else '') + '\n<tool_response>\n' -}}
    {{- message.content -}}
    {{- '\n</tool_response>' + ('<|im_end|>\n' if closes else '') -}}
  {%- elif message.role == 'assistant' and message.tool_calls -%}
    {{- '<|im_start|>assistant' + ('\n' + message.content if message.content else '') -}}
    {%- for call in message.tool_calls -%}
      {%- set function = call.function if call.function is defined else call -%}
      {{- '\n<tool_call>\n{"name": "' + function.name + '", "arguments": ' -}}
      {{- function.arguments | tojson + '}\n</tool_call>' -}}
    {%- endfor -%}
    {{- '<|im_end|>\n' -}}
  {%- elif message.role in ['user', 'assistant'] or (message.role == 'system' and not loop.first) -%}
    {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}
  {%- endif -%}
{%- endfor -%}
{{- '<|im_start|>assistant\n' if add_generation_prompt else '' -}}
)jinja";

// Instructions v3 of Mistral: the system prompt stands before the last question, tools before the last user
// turn. SPACE stands between the marks and the text: nothing with tekken, a space with sentencepiece.
constexpr std::string_view kMistral = R"jinja(
{%- set system = messages[0].content if messages[0].role == 'system' else none -%}
{%- set turns = messages[1:] if messages[0].role == 'system' else messages -%}
{%- set seen = namespace(turns=0) -%}
{%- for message in turns if message.role not in ['tool', 'tool_results'] and not (message.tool_calls is defined and message.tool_calls is not none) -%}
  {%- if (seen.turns % 2 == 0) != (message.role == 'user') -%}
    {{- raise_exception('after a system turn, turns must go user, assistant, user, assistant, ...') -}}
  {%- endif -%}
  {%- set seen.turns = seen.turns + 1 -%}
{%- endfor -%}
{%- set questions = turns | selectattr('role', 'equalto', 'user') | list -%}
{{- bos_token -}}
{%- for message in turns -%}
  {%- if message.role == 'user' -%}
    {%- if tools and message == questions[-1] -%}
      {{- '[AVAILABLE_TOOLS]SPACE[' -}}
      {%- for tool in tools -%}
        {{- '{"type": "function", "function": {' -}}
        {%- for key, value in tool.function.items() if key != 'return' -%}
          {{- '"' + key + '": ' + ('"' + value + '"' if value is string else value | tojson) -}}
          {{- '' if loop.last else ', ' -}}
        {%- endfor -%}
        {{- '}}' + ('' if loop.last else ', ') -}}
      {%- endfor -%}
      {{- '][/AVAILABLE_TOOLS]' -}}
    {%- endif -%}
    {{- '[INST]SPACE' + (system + '\n\n' if loop.last and system is not none else '') + message.content + '[/INST]' -}}
  {%- elif message.tool_calls is defined and message.tool_calls is not none -%}
    {{- '[TOOL_CALLS]SPACE[' -}}
    {%- for call in message.tool_calls -%}
      {%- if call.id is not defined or call.id | length != 9 -%}
        {{- raise_exception('the id of a tool call must have 9 characters') -}}
      {%- endif -%}
      {{- (call.function | tojson)[:-1] + ', "id": "' + call.id + '"}' + (']' + eos_token if loop.last else ', ') -}}
    {%- endfor -%}
  {%- elif message.role == 'assistant' -%}
    {{- 'SPACE' + message.content + eos_token -}}
  {%- elif message.role in ['tool', 'tool_results'] -%}
    {%- if message.tool_call_id is not defined or message.tool_call_id | length != 9 -%}
      {{- raise_exception('the id of a tool call must have 9 characters') -}}
    {%- endif -%}
    {{- '[TOOL_RESULTS]SPACE{"content": ' + message.content | string + ', "call_id": "' + message.tool_call_id -}}
    {{- '"}[/TOOL_RESULTS]' -}}
  {%- else -%}
    {{- raise_exception('turns may be user, assistant and tool, after one of system') -}}
  {%- endif -%}
{%- endfor -%}
)jinja";

struct BuiltIn {
  std::string_view name, source, space;
};
constexpr std::array kBuiltIn = {
    BuiltIn{"llama3", kLlama3, ""},    BuiltIn{"gemma", kGemma, ""},
    BuiltIn{"phi3", kPhi3, ""},        BuiltIn{"qwen", kQwen, ""},
    BuiltIn{"mistral", kMistral, " "}, BuiltIn{"mistral-tekken", kMistral, ""},
};

std::string with_space(std::string_view source, std::string_view space) {
  constexpr std::string_view kMark = "SPACE";
  std::string text;
  for (std::size_t at = 0;;) {
    const std::size_t mark = source.find(kMark, at);
    text += source.substr(at, mark - at);
    if (mark == std::string_view::npos) return text;
    text += space;
    at = mark + kMark.size();
  }
}

}  // namespace

std::optional<std::string> built_in_template(std::string_view name) {
  const auto* const found = std::ranges::find(kBuiltIn, name, &BuiltIn::name);
  if (found == kBuiltIn.end()) return std::nullopt;
  return with_space(found->source, found->space);
}

std::vector<std::string> built_in_template_names() {
  std::vector<std::string> names;
  for (const BuiltIn& each : kBuiltIn) names.emplace_back(each.name);
  return names;
}

}  // namespace graft
