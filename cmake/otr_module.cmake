# One folder = one module = one target = one namespace (docs: CONTRIBUTING.md).
#
#   otr_module(merkle SOURCES tree.cc DEPS crypto LIBS OpenSSL::Crypto TESTS tree_test.cc)
#
# makes the static library otr_merkle and, when tests are on, one test program merkle_test.
# DEPS are the only modules whose headers this one may include; tools/tidy.py checks it.
function(otr_module name)
  cmake_parse_arguments(M "" "" "SOURCES;DEPS;LIBS;TESTS;TEST_DEPS" ${ARGN})
  add_library(otr_${name} STATIC ${M_SOURCES})
  target_include_directories(otr_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)
  list(TRANSFORM M_DEPS PREPEND otr_ OUTPUT_VARIABLE deps)
  target_link_libraries(otr_${name} PUBLIC otr_flags ${deps} ${M_LIBS})
  if(OTR_TESTS AND M_TESTS)
    list(TRANSFORM M_TEST_DEPS PREPEND otr_ OUTPUT_VARIABLE test_deps)
    add_executable(${name}_test ${M_TESTS})
    target_link_libraries(${name}_test PRIVATE otr_${name} ${test_deps} GTest::gmock_main)
    target_compile_definitions(${name}_test PRIVATE OTR_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    add_test(NAME ${name} COMMAND ${name}_test)
  endif()
endfunction()

# otr_fuzz(name SOURCES f.cc DEPS m): a libFuzzer program under the fuzz preset; elsewhere the same
# file linked with tools/fuzz_main.cc, which runs the corpus in fuzz/corpus/<name> as a test.
function(otr_fuzz name)
  cmake_parse_arguments(M "" "" "SOURCES;DEPS" ${ARGN})
  if(NOT OTR_TESTS AND NOT OTR_FUZZ)
    return()
  endif()
  list(TRANSFORM M_DEPS PREPEND otr_ OUTPUT_VARIABLE deps)
  if(OTR_FUZZ)
    add_executable(${name}_fuzz ${M_SOURCES})
    target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${name}_fuzz ${M_SOURCES} ${PROJECT_SOURCE_DIR}/tools/fuzz_main.cc)
    add_test(NAME ${name}_fuzz
             COMMAND ${name}_fuzz ${PROJECT_SOURCE_DIR}/fuzz/corpus/${name})
  endif()
  target_link_libraries(${name}_fuzz PRIVATE ${deps})
endfunction()
