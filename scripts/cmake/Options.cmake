# Compiler options shared by every target of ours.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2")  # asserts stay on: they cost nothing beside the matrix products

add_library(graft_options INTERFACE)
# -Wno-restrict: GCC 12 warns wrongly about std::string (bug 105329).
target_compile_options(graft_options INTERFACE -Wall -Wextra -Wconversion -Wno-sign-conversion
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> -ffp-contract=off -fstack-protector-strong)
target_compile_definitions(graft_options INTERFACE _GLIBCXX_ASSERTIONS
  GRAFT_VERSION="${PROJECT_VERSION}")
if(GRAFT_SANITIZE)
  target_compile_options(graft_options INTERFACE -fsanitize=${GRAFT_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer -g)
  target_link_options(graft_options INTERFACE -fsanitize=${GRAFT_SANITIZE})
endif()
if(GRAFT_FUZZ)
  target_compile_options(graft_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
