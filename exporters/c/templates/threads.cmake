
# Its loops run on threads.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
target_link_libraries(@NAME@ PUBLIC Threads::Threads)
