# Third-party libraries of graft_core (no libtorch), as the interface target graft_core_deps.
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(yaml-cpp 0.7 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(ZLIB REQUIRED)
find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)

# sentencepiece: static with hidden symbols (its protobuf must not meet libtorch's), built by scripts/deps.sh.
set(GRAFT_DEPS ${PROJECT_SOURCE_DIR}/.deps CACHE PATH "Folder that scripts/deps.sh fills")
add_library(graft_sentencepiece INTERFACE)
target_include_directories(graft_sentencepiece SYSTEM INTERFACE ${GRAFT_DEPS}/sentencepiece/include)
target_link_libraries(graft_sentencepiece INTERFACE ${GRAFT_DEPS}/sentencepiece/lib/libsentencepiece.a
  -Wl,--exclude-libs,libsentencepiece.a Threads::Threads)

add_library(graft_core_deps INTERFACE)
target_link_libraries(graft_core_deps INTERFACE nlohmann_json::nlohmann_json yaml-cpp OpenSSL::Crypto ZLIB::ZLIB
  Boost::program_options PkgConfig::PCRE2 PkgConfig::UTF8PROC PkgConfig::ZSTD graft_sentencepiece Threads::Threads)
