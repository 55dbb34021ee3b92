# libtorch as the interface target graft_libtorch: libtorch_cpu + libc10 and nothing of CUDA.
# Not find_package(Torch): on a CUDA wheel that demands a CUDA toolkit.
set(GRAFT_LIBTORCH "" CACHE PATH "A libtorch folder; empty: the wheel in .deps/python")
set(_torch ${GRAFT_LIBTORCH})
if(NOT _torch)
  set(_torch ${GRAFT_DEPS}/python/torch)
endif()
if(NOT EXISTS ${_torch}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "no libtorch in ${_torch}: run scripts/deps.sh, or give -DGRAFT_LIBTORCH=FOLDER")
endif()
get_filename_component(_site ${_torch} DIRECTORY)

find_package(OpenMP REQUIRED COMPONENTS CXX)
add_library(graft_libtorch INTERFACE)
target_include_directories(graft_libtorch SYSTEM INTERFACE ${_torch}/include
  ${_torch}/include/torch/csrc/api/include)
# The wheel's own libgomp comes first in the rpath, so that one OpenMP runtime is loaded.
target_link_libraries(graft_libtorch INTERFACE ${_torch}/lib/libtorch_cpu.so ${_torch}/lib/libc10.so
  -Wl,-rpath,${_torch}/lib:${_site}/nvidia/cu13/lib -Wl,--disable-new-dtags
  -Wl,--unresolved-symbols=ignore-in-shared-libs -L${_torch}/lib)
target_compile_options(graft_libtorch INTERFACE -fopenmp)
