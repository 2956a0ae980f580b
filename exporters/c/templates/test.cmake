
# The self-test is built where this is the project itself, not a part of another.
if(CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
  enable_testing()
  add_executable(@NAME@_selftest test/@NAME@_selftest.c test/@NAME@_selftest_main.c test/@NAME@_vectors.c)
  set_target_properties(@NAME@_selftest PROPERTIES C_STANDARD 99 C_STANDARD_REQUIRED ON)
  target_link_libraries(@NAME@_selftest PRIVATE @NAME@)
@WEIGHTS@
  add_test(NAME @NAME@_selftest COMMAND @NAME@_selftest)
endif()
