
# The weights as an array, for programs that are linked with them.
add_library(@NAME@_weights STATIC weights/@NAME@_weights.c)
set_target_properties(@NAME@_weights PROPERTIES C_STANDARD 99 C_STANDARD_REQUIRED ON)
target_include_directories(@NAME@_weights PUBLIC weights PRIVATE port)
target_link_libraries(@NAME@_weights PUBLIC @NAME@)
