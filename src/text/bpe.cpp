#include "text/bpe.h"

#include <algorithm>
#include <queue>
#include <span>

#include "base/error.h"
#include "base/text.h"
#include "text/bpe_tables.h"
#include "text/byte_alphabet.h"

namespace graft {
namespace {

constexpr std::int32_t kNone = -1;

// One symbol of a word while it is merged; symbols form a list. size 0: merged into its left neighbour.
struct Symbol {
  std::int32_t id, previous, next;
  std::int32_t size;  // bytes as Hugging Face counts them: of the spelling
};

std::int32_t spelling_size(char byte) {
  return byte >= 0x21 && byte <= 0x7E ? 1 : 2;  // all other characters of the alphabet lie below U+0800
}

// Collects symbols; a symbol that the vocabulary lacks waits, since more of them may join it.
class SymbolList {
 public:
  SymbolList(std::size_t room, const BpeOptions& options) : options_(options) { symbols_.reserve(room); }

  void put(std::int32_t id, std::int32_t size) {
    const auto index = static_cast<std::int32_t>(symbols_.size());
    symbols_.push_back({id, index - 1, index + 1, size});
  }
  void put_known(std::int32_t id, std::int32_t size) {
    flush();
    put(id, size);
  }
  void put_unknown(std::int32_t size) {
    if (!options_.unknown) return;
    if (!options_.fuse_unknown) flush();
    unknown_size_ += size;
  }
  std::vector<Symbol> take() {
    flush();
    if (!symbols_.empty()) symbols_.back().next = kNone;
    return std::move(symbols_);
  }

 private:
  void flush() {
    if (unknown_size_ > 0) put(*options_.unknown, unknown_size_);
    unknown_size_ = 0;
  }

  const BpeOptions& options_;
  std::vector<Symbol> symbols_;
  std::int32_t unknown_size_ = 0;
};

std::vector<Symbol> symbols_of_bytes(std::string_view word, const std::array<std::int32_t, 256>& byte_ids,
                                     const BpeOptions& options) {
  SymbolList symbols(word.size(), options);
  for (const char c : word) {
    const std::int32_t id = byte_ids[static_cast<unsigned char>(c)];
    if (id == kNone)
      symbols.put_unknown(spelling_size(c));
    else
      symbols.put_known(id, spelling_size(c));
  }
  return symbols.take();
}

// As in tokenizers, bytes do not end a run of unknown characters: they come before it.
template <class Characters>
std::vector<Symbol> symbols_of_characters(std::string_view word, const Characters& characters,
                                          const std::array<std::int32_t, 256>& byte_ids,
                                          const BpeOptions& options) {
  SymbolList symbols(word.size(), options);
  const auto id_of = [&](char c) { return byte_ids[static_cast<unsigned char>(c)]; };
  for (std::size_t i = 0; i < word.size();) {
    const CodePoint c = code_point_at(word, i);
    const std::string_view spelling = word.substr(i, c.length);
    i += c.length;
    if (const std::int32_t id = characters.find(c.value); id != kNone) {
      symbols.put_known(id, static_cast<std::int32_t>(c.length));
    } else if (options.byte_fallback &&
               std::ranges::all_of(spelling, [&](char byte) { return id_of(byte) != kNone; })) {
      for (const char byte : spelling) symbols.put(id_of(byte), 1);
    } else {
      symbols.put_unknown(static_cast<std::int32_t>(c.length));
    }
  }
  return symbols.take();
}

// Sizes in spelling bytes become ranges of the word. Where symbols vanished the ranges are those that Hugging
// Face reports: counted from the start of the word as if nothing were missing.
void append_byte_pieces(const std::vector<Symbol>& symbols, std::string_view word,
                        std::vector<Piece>& pieces) {
  std::size_t byte = 0;    // of the word
  std::int32_t start = 0;  // in its spelling: where `byte` starts
  const auto byte_holding = [&](std::int32_t position) {
    for (std::int32_t size; start + (size = spelling_size(word[byte])) <= position; ++byte) start += size;
    return byte;
  };
  std::int32_t position = 0;
  for (const Symbol& symbol : symbols) {
    if (symbol.size == 0) continue;
    const std::size_t begin = byte_holding(position);
    position += symbol.size;
    pieces.push_back({symbol.id, {begin, byte_holding(position - 1) + 1}});
  }
}

void append_character_pieces(const std::vector<Symbol>& symbols, std::vector<Piece>& pieces) {
  std::size_t position = 0;
  for (const Symbol& symbol : symbols) {
    if (symbol.size == 0) continue;
    const std::size_t end = position + static_cast<std::size_t>(symbol.size);
    pieces.push_back({symbol.id, {position, end}});
    position = end;
  }
}

struct Candidate {
  std::int32_t rank, position, merged;
  bool operator<(const Candidate& other) const {  // the queue's top is the lowest rank, then the leftmost
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

template <class Table>
void merge_all(const Table& merges, std::vector<Symbol>& symbols) {
  std::vector<Candidate> found;
  const auto candidate_at = [&](std::int32_t left) -> std::optional<Candidate> {
    if (left == kNone || symbols[left].next == kNone) return std::nullopt;
    const auto* entry = merges.find(symbols[left].id, symbols[symbols[left].next].id);
    if (entry == nullptr) return std::nullopt;
    return Candidate{entry->rank, left, entry->merged};
  };
  for (std::int32_t i = 0; i + 1 < static_cast<std::int32_t>(symbols.size()); ++i)
    if (const auto candidate = candidate_at(i)) found.push_back(*candidate);
  std::priority_queue<Candidate> queue({}, std::move(found));
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.position];
    const auto current = left.size == 0 ? std::nullopt : candidate_at(top.position);
    if (!current || current->merged != top.merged) continue;  // one of the two has been merged since
    Symbol& right = symbols[left.next];
    left = {top.merged, left.previous, right.next, left.size + right.size};
    right.size = 0;
    if (left.next != kNone) symbols[left.next].previous = top.position;
    for (const std::int32_t position : {left.previous, top.position})
      if (const auto candidate = candidate_at(position)) queue.push(*candidate);
  }
}

std::string byte_token(std::size_t byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'};
}

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, const std::vector<Merge>& merges, const BpeOptions& options,
         std::string_view where)
    : merges_(std::make_unique<MergeTable>(merges.size())),
      cache_(std::make_unique<WordCache>()),
      options_(options) {
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const auto spelling = options.symbols == Symbols::kBytes ? spelling_of_bytes({&c, 1}) : byte_token(byte);
    byte_ids_[byte] = vocabulary.find(spelling).value_or(kNone);
  }
  std::string whole;
  std::int32_t rank = 0;
  for (const auto& [left, right] : merges) {
    const auto id = [&, left = left, right = right](std::string_view spelling) {
      const auto found = vocabulary.find(spelling);
      if (!found) {
        fail(where, "/", rank, ": the merge of `", printable(left), "` and `", printable(right),
             "` needs the token `", printable(spelling), "`, which the vocabulary lacks");
      }
      return *found;
    };
    whole.assign(left).append(right);
    merges_->put(id(left), id(right), rank, id(whole));
    ++rank;
  }
  if (options.symbols == Symbols::kCharacters) add_characters(vocabulary);
  if (options.ignore_merges) add_words(vocabulary);
}

void Bpe::add_characters(const Vocabulary& vocabulary) {
  characters_ = std::make_unique<CharacterTable>();
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string& spelling = vocabulary.spelling(id);
    if (spelling.empty()) continue;
    const CodePoint first = code_point_at(spelling, 0);
    if (first.length == spelling.size()) characters_->put(first.value, id);
    space_words_.add(spelling);
  }
  by_words_ = space_words_.may_cut() && vocabulary.find(kSpaceMark).has_value();
}

void Bpe::add_words(const Vocabulary& vocabulary) {
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.kind(id) == TokenKind::kNone || vocabulary.kind(id) == TokenKind::kUnused) continue;
    if (options_.symbols == Symbols::kCharacters)
      words_.add(vocabulary.spelling(id), id);
    else if (const auto bytes = bytes_of_spelling(vocabulary.spelling(id)))
      words_.add(*bytes, id);
  }
}

Bpe::Bpe(const std::vector<RankedToken>& tokens, std::string_view where)
    : merges_(std::make_unique<MergeTable>(tokens.size() * 4)), cache_(std::make_unique<WordCache>()) {
  options_.ignore_merges = true;
  byte_ids_.fill(kNone);
  words_.reserve(tokens.size());
  for (const RankedToken& token : tokens) {
    if (!words_.add(token.bytes, token.id))
      fail(where, ": the token `", printable(token.bytes), "` stands twice");
    if (token.bytes.size() == 1) byte_ids_[static_cast<unsigned char>(token.bytes[0])] = token.id;
  }
  for (std::size_t byte = 0; byte < 256; ++byte)
    if (byte_ids_[byte] == kNone) fail(where, ": no token for the byte ", byte);
  for (const RankedToken& token : tokens) {
    const std::string_view bytes = token.bytes;
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
      const std::int32_t left = words_.find(bytes.substr(0, cut));
      if (left == StringIds::kNone) continue;
      const std::int32_t right = words_.find(bytes.substr(cut));
      if (right != StringIds::kNone) merges_->put(left, right, token.rank, token.id);
    }
  }
}

Bpe::~Bpe() = default;

void Bpe::encode(std::string_view word, std::vector<Piece>& pieces) const {
  if (!by_words_) return encode_part(word, pieces);
  if (options_.ignore_merges) {
    if (const auto id = whole_word(word)) {
      pieces.push_back({*id, {0, word.size()}});
      return;
    }
  }
  for (std::size_t done = 0; done < word.size();) {
    const std::size_t size = space_words_.first_word(word.substr(done), kSpaceMark);
    const std::size_t first = pieces.size();
    encode_part(word.substr(done, size), pieces);
    for (std::size_t i = first; i < pieces.size(); ++i) {
      pieces[i].range.begin += done;
      pieces[i].range.end += done;
    }
    done += size;
  }
}

void Bpe::encode_part(std::string_view word, std::vector<Piece>& pieces) const {
  if (cache_->find(word, pieces)) return;
  const std::size_t before = pieces.size();
  const auto id = options_.ignore_merges && !by_words_ ? whole_word(word) : std::nullopt;
  if (id)
    pieces.push_back({*id, {0, word.size()}});
  else
    merge(word, pieces);
  cache_->put(word, std::span(pieces).subspan(before));
}

std::optional<std::int32_t> Bpe::whole_word(std::string_view word) const {
  const std::int32_t id = words_.find(word);
  return id == StringIds::kNone ? std::nullopt : std::optional(id);
}

void Bpe::merge(std::string_view word, std::vector<Piece>& pieces) const {
  check(word.size() < INT32_MAX / 2, "a word of ", word.size(), " bytes is too long to tokenize");
  const bool bytes = options_.symbols == Symbols::kBytes;
  std::vector<Symbol> symbols = bytes ? symbols_of_bytes(word, byte_ids_, options_)
                                      : symbols_of_characters(word, *characters_, byte_ids_, options_);
  merge_all(*merges_, symbols);
  if (bytes)
    append_byte_pieces(symbols, word, pieces);
  else
    append_character_pieces(symbols, pieces);
}

}  // namespace graft
