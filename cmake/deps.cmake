# All outside libraries, from Debian packages (tools/install-deps). find_package only: no downloads.
find_package(Threads REQUIRED)
set(Boost_NO_WARN_NEW_VERSIONS ON)  # CMake 3.25 is older than this Boost and says so at length
find_package(Boost 1.81 EXACT REQUIRED COMPONENTS json url)
find_package(OpenSSL 3 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
find_package(yaml-cpp 0.7 REQUIRED)
find_package(simdjson 3 REQUIRED)
find_package(tl-expected REQUIRED)
find_package(ZLIB REQUIRED)
find_package(GTest 1.12 REQUIRED)
find_package(PkgConfig REQUIRED)
