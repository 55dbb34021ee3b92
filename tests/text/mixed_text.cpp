#include "text/mixed_text.h"

#include <array>
#include <span>
#include <string_view>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::size_t kDocumentBytes = 2000;

class Writer {
 public:
  explicit Writer(std::uint64_t key) : random_(key) {}

  std::size_t below(std::size_t bound) { return random_.below(bound); }
  bool once_in(std::size_t count) { return below(count) == 0; }
  template <class List>
  auto pick(const List& list) {
    return list[below(std::size(list))];
  }
  std::uint32_t character(std::uint32_t first, std::uint32_t last) {
    return first + static_cast<std::uint32_t>(below(last - first + 1));
  }

 private:
  RandomStream random_;
};

std::vector<std::string> english(std::size_t bytes) {
  std::vector<std::string> documents;
  std::size_t size = 0;
  const auto put = [&](const Json& text) {
    documents.push_back(text.get<std::string>());
    size += documents.back().size();
  };
  while (true) {
    for (const char* name : {"cooking", "jargon", "persona"}) {
      const Path file = Path(GRAFT_SOURCE_DIR) / "datasets" / (std::string(name) + ".train.jsonl");
      for (const std::string& line : split(read_file(file, 1 << 22), '\n')) {
        if (line.empty()) continue;
        const Json row = parse_json(line, "data set");
        if (row.contains("text")) put(row["text"]);
        if (row.contains("messages"))
          for (const Json& message : row["messages"]) put(message["content"]);
        if (size >= bytes) return documents;
      }
    }
  }
}

constexpr std::array<std::string_view, 96> kChinese = {
    "我们", "今天", "中国", "人民", "法律", "规定", "应当", "可以", "国家",   "社会", "发展", "经济",
    "公司", "合同", "责任", "机关", "依法", "保护", "权利", "义务", "的",     "了",   "是",   "在",
    "不",   "和",   "有",   "这",   "那",   "他们", "学习", "模型", "数据",   "训练", "语言", "计算",
    "机器", "智能", "问题", "回答", "方法", "结果", "时间", "工作", "生活",   "城市", "北京", "上海",
    "大学", "老师", "学生", "朋友", "家庭", "孩子", "吃饭", "饺子", "喝茶",   "天气", "下雨", "春天",
    "花开", "山水", "历史", "文化", "艺术", "音乐", "电影", "新闻", "网络",   "手机", "电脑", "软件",
    "程序", "代码", "函数", "变量", "一个", "两种", "三千", "第四", "2026年", "11月", "22日", "50%",
    "龘",   "彧",   "鑫",   "犇",   "囧",   "亖",   "㊣",   "臺灣", "國語",   "漢字", "GPU",  "LoRA"};
constexpr std::array<std::string_view, 10> kChineseMarks = {"，", "。", "、", "；", "：",
                                                            "？", "！", "“",  "”",  "（"};

std::string chinese(Writer& writer) {
  std::string text;
  while (text.size() < kDocumentBytes) {
    for (std::size_t words = 2 + writer.below(9); words > 0; --words) text += writer.pick(kChinese);
    text += writer.pick(kChineseMarks);
    if (writer.once_in(6)) text += "\n";
    if (writer.once_in(30)) text += "　　";
  }
  return text;
}

constexpr std::array<std::string_view, 40> kNames = {
    "value",   "index",    "self",     "result",    "i",      "j",      "ptr",     "buffer",
    "getName", "is_valid", "Config",   "HashMap",   "kLimit", "size_t", "foo_bar", "XMLParser",
    "tmp2",    "_private", "__init__", "node",      "weight", "tensor", "forward", "loss",
    "lr",      "epoch",    "batch",    "tokenizer", "encode", "decode", "path",    "options",
    "stream",  "request",  "url",      "user_id",   "count",  "maxLen", "iter",    "data"};
constexpr std::array<std::string_view, 24> kOperators = {
    " = ", " += ", " == ", " != ", "->", ".", "::", " && ", " || ", "<<", " - ", "*",
    "/",   " % ",  "[",    "]",    "(",  ")", ", ", "; ",   "{",    "}",  "!",   " => "};
constexpr std::array<std::string_view, 12> kStarts = {"if (",   "for (",        "return ", "def ",
                                                      "class ", "const auto& ", "import ", "while ",
                                                      "fn ",    "std::vector<", "let ",    "// "};

std::string code(Writer& writer) {
  std::string text;
  std::size_t depth = 0;
  while (text.size() < kDocumentBytes) {
    text += writer.once_in(3) ? std::string(depth, '\t') : std::string(depth * 4, ' ');
    if (writer.once_in(2)) text += writer.pick(kStarts);
    for (std::size_t parts = 1 + writer.below(6); parts > 0; --parts) {
      text += writer.pick(kNames);
      text += writer.pick(kOperators);
      if (writer.once_in(4)) text += std::to_string(writer.below(writer.once_in(2) ? 10 : 1000000));
      if (writer.once_in(8)) text.append("\"").append(writer.pick(kNames)).append("\\n\"");
    }
    text += writer.once_in(5) ? "\r\n" : "\n";
    if (writer.once_in(7)) text += "\n";
    depth = writer.once_in(3) ? depth + 1 : writer.once_in(3) && depth > 0 ? depth - 1 : depth;
    if (depth > 7) depth = 0;
  }
  return text;
}

struct Block {
  std::uint32_t first, last;
};
// Blocks whose characters all Unicode versions in use class alike.
constexpr std::array<Block, 30> kBlocks = {{
    {0x20, 0x7E},     {0x20, 0x7E},     {0x20, 0x40},     {0x01, 0x1F},       {0xA0, 0xFF},
    {0x100, 0x17F},   {0x391, 0x3A1},   {0x3B1, 0x3C9},   {0x410, 0x44F},     {0x5D0, 0x5EA},
    {0x621, 0x63A},   {0x660, 0x669},   {0x905, 0x939},   {0x93E, 0x94D},     {0xE01, 0xE30},
    {0x1780, 0x17B3}, {0x300, 0x33F},   {0x1E00, 0x1EFF}, {0x2000, 0x2064},   {0x20A0, 0x20BF},
    {0x2150, 0x218B}, {0x2190, 0x23FF}, {0x2581, 0x2581}, {0x3041, 0x3096},   {0x30A1, 0x30FA},
    {0x4E00, 0x9FA5}, {0xAC00, 0xD7A3}, {0xFF01, 0xFF5E}, {0x1F300, 0x1F64F}, {0x1D400, 0x1D454},
}};

void put_run(Writer& writer, std::string& text) {
  const Block block = writer.pick(kBlocks);
  for (std::size_t count = 1 + writer.below(12); count > 0; --count)
    append_utf8(text, writer.character(block.first, block.last));
}

std::string noise(Writer& writer) {
  std::string text;
  while (text.size() < kDocumentBytes) {
    switch (writer.below(12)) {
      case 0:
        text += std::string(1 + writer.below(writer.once_in(9) ? 120 : 6), ' ');
        break;
      case 1:
        text += writer.once_in(2) ? "\n" : "\r\n\t ";
        break;
      case 2:  // a word without an end
        for (std::size_t count = writer.below(400); count > 0; --count)
          text += static_cast<char>(writer.character('a', 'z'));
        break;
      case 3:
        text += "e\xCC\x81\xCC\x96 \xE2\x84\xAB \xEF\xAC\x81 \xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9 ";
        break;
      default:
        put_run(writer, text);
    }
  }
  return text;
}

std::vector<std::string> documents_of(std::string (*make)(Writer&), std::uint64_t key, std::size_t bytes) {
  Writer writer(key);
  std::vector<std::string> documents;
  for (std::size_t size = 0; size < bytes; size += documents.back().size()) documents.push_back(make(writer));
  return documents;
}

}  // namespace

std::vector<TextPart> mixed_text(std::size_t bytes) {
  return {{"english", english(bytes * 2 / 5)},
          {"chinese", documents_of(chinese, 1, bytes / 5)},
          {"code", documents_of(code, 2, bytes / 5)},
          {"noise", documents_of(noise, 3, bytes / 5)}};
}

}  // namespace graft
