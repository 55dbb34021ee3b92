#include "text/bpe.h"

#include <algorithm>
#include <mutex>
#include <queue>
#include <shared_mutex>
#include <span>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"
#include "text/byte_alphabet.h"

namespace graft {

// Pair of ids -> rank and merged id: open addressing, since this look-up is what encoding spends its time in.
class Bpe::MergeTable {
 public:
  struct Entry {
    std::uint64_t key = kEmpty;
    std::int32_t rank = 0, merged = 0;
  };

  explicit MergeTable(std::size_t count) {
    std::size_t capacity = 16;
    while (capacity < count * 2) capacity *= 2;
    entries_.resize(capacity);
  }
  // A pair that stands twice has the later rank, as in tokenizers.
  void put(std::int32_t left, std::int32_t right, std::int32_t rank, std::int32_t merged) {
    Entry& entry = entries_[place(key_of(left, right))];
    entry = {key_of(left, right), rank, merged};
  }
  const Entry* find(std::int32_t left, std::int32_t right) const {
    const Entry& entry = entries_[place(key_of(left, right))];
    return entry.key == kEmpty ? nullptr : &entry;
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t place(std::uint64_t key) const {
    const std::size_t mask = entries_.size() - 1;
    std::size_t i = (key * 0x9E3779B97F4A7C15ULL >> 32) & mask;
    while (entries_[i].key != kEmpty && entries_[i].key != key) i = (i + 1) & mask;
    return i;
  }
  std::vector<Entry> entries_;
};

// Tokens of words met before. Words are many and short; long ones rarely come again.
class Bpe::WordCache {
 public:
  static constexpr std::size_t kMaxWords = 1 << 15;
  static constexpr std::size_t kMaxWordBytes = 64;

  // Never waits: a cache that another thread writes to counts as empty.
  bool find(std::string_view word, std::vector<Piece>& pieces) const {
    if (word.size() > kMaxWordBytes) return false;
    const std::shared_lock lock(mutex_, std::try_to_lock);
    if (!lock) return false;
    const auto entry = words_.find(word);
    if (entry == words_.end()) return false;
    pieces.insert(pieces.end(), entry->second.begin(), entry->second.end());
    return true;
  }
  void put(std::string_view word, std::span<const Piece> pieces) {
    if (word.size() > kMaxWordBytes) return;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock && words_.size() < kMaxWords)
      words_.try_emplace(std::string(word), pieces.begin(), pieces.end());
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, std::vector<Piece>, Hash, std::equal_to<>> words_;
};

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

// The symbols of a word: a token for each byte, unknown tokens or nothing for bytes without one.
std::vector<Symbol> symbols_of(std::string_view word, const std::array<std::int32_t, 256>& byte_ids,
                               const BpeOptions& options) {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  bool fusing = false;
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    const std::int32_t size = spelling_size(c);
    const bool known = byte_ids[byte] != kNone;
    if (!known && !options.unknown) continue;
    if (!known && fusing && options.fuse_unknown) {
      symbols.back().size += size;
      continue;
    }
    fusing = !known;
    const auto index = static_cast<std::int32_t>(symbols.size());
    symbols.push_back({known ? byte_ids[byte] : *options.unknown, index - 1, index + 1, size});
  }
  if (!symbols.empty()) symbols.back().next = kNone;
  return symbols;
}

// Sizes in spelling bytes become ranges of the word. Where bytes vanished the ranges are those that Hugging
// Face reports: counted from the start of the word as if nothing were missing.
void append_pieces(const std::vector<Symbol>& symbols, std::string_view word,
                   std::vector<Bpe::Piece>& pieces) {
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

struct Candidate {
  std::int32_t rank, position, merged;
  bool operator<(const Candidate& other) const {  // the queue's top is the lowest rank, then the leftmost
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, const std::vector<Merge>& merges, const BpeOptions& options,
         std::string_view where)
    : merges_(std::make_unique<MergeTable>(merges.size())),
      cache_(std::make_unique<WordCache>()),
      options_(options) {
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_ids_[byte] = vocabulary.find(spelling_of_bytes({&c, 1})).value_or(kNone);
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
  if (!options.ignore_merges) return;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.kind(id) == TokenKind::kNone || vocabulary.kind(id) == TokenKind::kUnused) continue;
    if (auto bytes = bytes_of_spelling(vocabulary.spelling(id))) words_.emplace_back(std::move(*bytes), id);
  }
  std::sort(words_.begin(), words_.end());
}

Bpe::~Bpe() = default;

void Bpe::encode(std::string_view word, std::vector<Piece>& pieces) const {
  if (cache_->find(word, pieces)) return;
  const std::size_t before = pieces.size();
  merge(word, pieces);
  cache_->put(word, std::span(pieces).subspan(before));
}

void Bpe::merge(std::string_view word, std::vector<Piece>& pieces) const {
  if (options_.ignore_merges) {
    const auto less = [](const auto& entry, std::string_view key) { return entry.first < key; };
    const auto entry = std::lower_bound(words_.begin(), words_.end(), word, less);
    if (entry != words_.end() && entry->first == word) {
      pieces.push_back({entry->second, {0, word.size()}});
      return;
    }
  }
  check(word.size() < INT32_MAX / 2, "a word of ", word.size(), " bytes is too long to tokenize");
  std::vector<Symbol> symbols = symbols_of(word, byte_ids_, options_);
  std::vector<Candidate> found;
  const auto candidate_at = [&](std::int32_t left) -> std::optional<Candidate> {
    if (left == kNone || symbols[left].next == kNone) return std::nullopt;
    const auto* entry = merges_->find(symbols[left].id, symbols[symbols[left].next].id);
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
  append_pieces(symbols, word, pieces);
}

}  // namespace graft
