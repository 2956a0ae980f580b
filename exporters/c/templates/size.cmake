
# The loops are those that take little flash.
target_compile_options(@NAME@ PRIVATE $<$<C_COMPILER_ID:GNU,Clang,AppleClang>:-Os>)
