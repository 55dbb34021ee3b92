#include "store/gguf_parser.h"

#include <algorithm>
#include <array>
#include <bit>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "store/byte_reader.h"
#include "store/foreign.h"
#include "store/safetensors_header.h"

static_assert(std::endian::native == std::endian::little, "weights are used as they lie in the file");

namespace graft {
namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint32_t kMaxDims = 4;
constexpr std::size_t kMaxItems = std::size_t{1} << 20;  // metadata keys, tensors
constexpr std::size_t kMaxArray = std::size_t{1} << 24;  // elements of one metadata array
constexpr std::size_t kMaxKeyBytes = 65535;
constexpr std::size_t kSmallestPair = 8 + 4 + 1;        // key length, type, a byte
constexpr std::size_t kSmallestTensor = 8 + 4 + 4 + 8;  // name length, dimensions, type, offset
constexpr std::int64_t kDefaultAlignment = 32;

// Names of ggml types that graft cannot decode yet: enum ggml_type.
struct UnsupportedType {
  std::uint32_t number;
  const char* name;
};
constexpr std::array<UnsupportedType, 12> kUnsupported{{
    {9, "q8_1"},
    {16, "iq2_xxs"},
    {17, "iq2_xs"},
    {18, "iq3_xxs"},
    {19, "iq1_s"},
    {21, "iq3_s"},
    {22, "iq2_s"},
    {29, "iq1_m"},
    {34, "tq1_0"},
    {35, "tq2_0"},
    {39, "mxfp4"},
    {40, "nvfp4"},
}};

std::string name_of_unsupported(std::uint32_t number) {
  for (const UnsupportedType& type : kUnsupported) {
    if (type.number == number) return type.name;
  }
  return "ggml type " + std::to_string(number);
}

// One entry of the tensor table, its data not yet looked up.
struct TableEntry {
  TensorView tensor;
  std::optional<DType> dtype;
  std::uint64_t offset = 0, size = 0;
};

class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, const std::string& source)
      : bytes_(bytes), source_(source), reader_(bytes, source) {}

  GgufContents parse() {
    check_version();
    const std::size_t tensors = reader_.read_count("the number of tensors", kSmallestTensor, kMaxItems);
    const std::size_t pairs = reader_.read_count("the number of metadata keys", kSmallestPair, kMaxItems);
    for (std::size_t i = 0; i < pairs; ++i) read_pair();
    entries_.reserve(tensors);
    for (std::size_t i = 0; i < tensors; ++i) read_entry();
    place_tensors();
    return std::move(contents_);
  }

 private:
  void check_version() {
    if (reader_.remaining() < 4 || reader_.read<std::uint32_t>("the magic") != kMagic) {
      fail(printable(source_), ": is no GGUF file", foreign_format(bytes_), ": it does not start with `GGUF`",
           Hint{foreign_hint(bytes_)});
    }
    const auto version = reader_.read<std::uint32_t>("the version");
    if (version != 0 && (version & 0xFFFFU) == 0)
      fail(printable(source_), ": big-endian GGUF is not supported");
    check(version == 2 || version == 3, printable(source_), " @byte 4: GGUF version ", version,
          " is not supported (want 2 or 3)");
  }

  void read_pair() {
    const std::string key(reader_.read_string("a metadata key"));
    if (key.empty() || key.size() > kMaxKeyBytes || printable(key, kMaxKeyBytes) != key) {
      reader_.fail_here("`", printable(key), "` cannot be a metadata key");
    }
    const std::size_t begin = reader_.position();
    const auto type = static_cast<GgufType>(reader_.read<std::uint32_t>("the type of " + key));
    GgufValue value = type == GgufType::kArray ? read_array(key) : read_scalar(type, key);
    contents_.pairs.push_back({key, bytes_.subspan(begin, reader_.position() - begin)});
    if (!contents_.metadata.emplace(key, std::move(value)).second)
      reader_.fail_here("duplicate metadata key `", key, "`");
  }

  std::int64_t read_integer(GgufType type, std::string_view what) {
    switch (type) {
      case GgufType::kU8:
        return reader_.read<std::uint8_t>(what);
      case GgufType::kI8:
        return reader_.read<std::int8_t>(what);
      case GgufType::kU16:
        return reader_.read<std::uint16_t>(what);
      case GgufType::kI16:
        return reader_.read<std::int16_t>(what);
      case GgufType::kU32:
        return reader_.read<std::uint32_t>(what);
      case GgufType::kI32:
        return reader_.read<std::int32_t>(what);
      case GgufType::kI64:
        return reader_.read<std::int64_t>(what);
      default:
        break;
    }
    const auto large = reader_.read<std::uint64_t>(what);
    if (large > std::uint64_t{INT64_MAX}) reader_.fail_here(what, ": ", large, " is too large");
    return static_cast<std::int64_t>(large);
  }

  double read_float(GgufType type, std::string_view what) {
    return type == GgufType::kF32 ? reader_.read<float>(what) : reader_.read<double>(what);
  }

  bool read_bool(std::string_view what) {
    const auto byte = reader_.read<std::uint8_t>(what);
    if (byte > 1) reader_.fail_here(what, ": got ", int{byte}, ", want a boolean (0 or 1)");
    return byte == 1;
  }

  // Bytes that a value of `type` takes at least; 0 for what is no element of an array.
  static std::size_t least_bytes(GgufType type) {
    constexpr std::array<std::size_t, 13> kBytes{1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};
    const auto number = static_cast<std::size_t>(type);
    return number < kBytes.size() ? kBytes[number] : 0;
  }

  [[noreturn]] void fail_type(GgufType type, const std::string& key) const {
    reader_.fail_here("`", key, "`: unknown value type ", static_cast<std::uint32_t>(type));
  }

  GgufValue read_scalar(GgufType type, const std::string& key) {
    if (least_bytes(type) == 0) fail_type(type, key);
    if (type == GgufType::kString) return std::string(reader_.read_string(key));
    if (type == GgufType::kBool) return read_bool(key);
    if (type == GgufType::kF32 || type == GgufType::kF64) return read_float(type, key);
    return read_integer(type, key);
  }

  template <class Element, class Read>
  GgufValue read_elements(std::size_t count, const Read& read) {
    std::vector<Element> elements;
    elements.reserve(count);
    for (std::size_t i = 0; i < count; ++i) elements.push_back(read());
    return elements;
  }

  GgufValue read_array(const std::string& key) {
    const auto type = static_cast<GgufType>(reader_.read<std::uint32_t>(key));
    if (type == GgufType::kArray) reader_.fail_here("`", key, "`: arrays of arrays are not supported");
    if (least_bytes(type) == 0) fail_type(type, key);
    const std::size_t count = reader_.read_count("the length of " + key, least_bytes(type), kMaxArray);
    switch (type) {
      case GgufType::kString:
        return read_elements<std::string>(count, [&] { return std::string(reader_.read_string(key)); });
      case GgufType::kBool:
        return read_elements<bool>(count, [&] { return read_bool(key); });
      case GgufType::kF32:
      case GgufType::kF64:
        return read_elements<double>(count, [&] { return read_float(type, key); });
      default:
        return read_elements<std::int64_t>(count, [&] { return read_integer(type, key); });
    }
  }

  void read_entry() {
    TableEntry entry;
    entry.tensor.name = reader_.read_string("the name of a tensor");
    check_tensor_name(entry.tensor.name, source_);
    if (!names_.insert(entry.tensor.name).second) {
      reader_.fail_here("duplicate tensor `", printable(entry.tensor.name), "`");
    }
    const auto dims = reader_.read<std::uint32_t>("the table of tensors");
    if (dims > kMaxDims) fail_tensor(entry, ": got ", dims, " dimensions, want at most ", kMaxDims);
    for (std::uint32_t i = 0; i < dims; ++i) {
      entry.tensor.shape.push_back(read_integer(GgufType::kU64, "the shape of a tensor"));
    }
    const auto type = reader_.read<std::uint32_t>("the table of tensors");
    entry.offset = reader_.read<std::uint64_t>("the table of tensors");
    entry.dtype = dtype_of_ggml(type);
    if (entry.dtype) {
      measure(entry);
    } else {
      contents_.unsupported.emplace(entry.tensor.name, name_of_unsupported(type));
    }
    entries_.push_back(std::move(entry));
  }

  template <class... Parts>
  [[noreturn]] void fail_tensor(const TableEntry& entry, const Parts&... parts) const {
    reader_.fail_here("tensor `", printable(entry.tensor.name), "`", parts...);
  }

  // Sets type, size in bytes, and the shape in torch order (GGUF lists the innermost dimension first).
  void measure(TableEntry& entry) const {
    TensorView& tensor = entry.tensor;
    tensor.dtype = *entry.dtype;
    const DTypeTraits& type = traits(tensor.dtype);
    const std::int64_t row = tensor.shape.empty() ? 1 : tensor.shape.front();
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    if (static_cast<std::size_t>(row) % type.values != 0) {
      fail_tensor(entry, ": rows of ", row, " values cannot be cut into ", type.name, " blocks of ",
                  type.values);
    }
    std::int64_t values = 1, size = 0;
    bool fits = true;
    for (const std::int64_t dim : tensor.shape) fits = fits && !__builtin_mul_overflow(values, dim, &values);
    fits = fits && !__builtin_mul_overflow(values / static_cast<std::int64_t>(type.values),
                                           static_cast<std::int64_t>(type.bytes), &size);
    if (!fits) fail_tensor(entry, ": shape ", tensor.shape_text(), " is too large");
    entry.size = static_cast<std::uint64_t>(size);
  }

  std::size_t alignment() const {
    const auto place = contents_.metadata.find("general.alignment");
    if (place == contents_.metadata.end()) return kDefaultAlignment;
    const auto* value = std::get_if<std::int64_t>(&place->second);
    check(value != nullptr && *value > 0 && *value <= (std::int64_t{1} << 30) &&
              std::has_single_bit(static_cast<std::uint64_t>(*value)),
          printable(source_), ": general.alignment is no power of two up to 2^30");
    return static_cast<std::size_t>(*value);
  }

  void place_tensors() {
    const std::size_t step = alignment();
    const std::size_t begin = (reader_.position() + step - 1) / step * step;
    const std::span<const std::byte> data =
        begin < bytes_.size() ? bytes_.subspan(begin) : std::span<const std::byte>();
    for (TableEntry& entry : entries_) {
      if (entry.offset % step != 0)
        fail_tensor(entry, ": offset ", entry.offset, " is no multiple of ", step);
      if (entry.offset > data.size() || entry.size > data.size() - entry.offset) {
        fail_tensor(entry, ": its data lies outside the file (got ", entry.size, " bytes at ", begin, " + ",
                    entry.offset, ", the file has ", bytes_.size(), " bytes)");
      }
      entry.tensor.bytes =
          data.subspan(static_cast<std::size_t>(entry.offset), static_cast<std::size_t>(entry.size));
    }
    check_overlap();
    for (TableEntry& entry : entries_) {
      if (entry.dtype) contents_.tensors.push_back(std::move(entry.tensor));
    }
  }

  void check_overlap() const {
    std::vector<const TableEntry*> order;
    for (const TableEntry& entry : entries_) order.push_back(&entry);
    std::sort(order.begin(), order.end(), [](const TableEntry* a, const TableEntry* b) {
      return std::pair(a->offset, a->size) < std::pair(b->offset, b->size);
    });
    for (std::size_t i = 1; i < order.size(); ++i) {
      if (order[i - 1]->offset + order[i - 1]->size <= order[i]->offset) continue;
      fail_tensor(*order[i], ": overlaps `", printable(order[i - 1]->tensor.name), "`");
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& source_;
  ByteReader reader_;
  GgufContents contents_;
  std::vector<TableEntry> entries_;
  std::set<std::string> names_;
};

}  // namespace

GgufContents parse_gguf(std::span<const std::byte> bytes, const std::string& source) {
  return GgufParser(bytes, source).parse();
}

}  // namespace graft
