# What ./run test checks besides the test programs of the modules; included by the root last, so
# that every target is known.
if(OTR_FUZZ)
  otr_fuzz(canary SOURCES ${PROJECT_SOURCE_DIR}/fuzz/canary_fuzz.cc DEPS base)
endif()
if(NOT OTR_TESTS)
  return()
endif()

# otr_check(name command...) runs a command in the root of the sources as a test.
function(otr_check name)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()

otr_check(tidy python3 tools/tidy.py)
otr_check(tidy_test python3 tools/tidy_test.py)
otr_check(format ./run fmt --check)
if(EXISTS ${PROJECT_SOURCE_DIR}/spec/oracle.py)
  otr_check(oracle python3 spec/oracle.py --check)
endif()
otr_check(game_model python3 spec/model/game.py)
if(EXISTS ${PROJECT_SOURCE_DIR}/spec/proof_verifier.py)
  otr_check(proof_verifier python3 spec/proof_verifier.py --selftest)
endif()
# Elsewhere the kernels of arm64 run in an emulator; there the tests of the module do that.
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  otr_check(engine_arm64 bash tools/arm64_test.sh ${PROJECT_BINARY_DIR}/arm64
            ${PROJECT_BINARY_DIR}/src/machine/tables.bin)
endif()

# Transcripts: tests/<name>.sh plays a command line session with the program given as $1.
file(GLOB transcripts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/*.sh)
foreach(transcript IN LISTS transcripts)
  cmake_path(GET transcript STEM name)
  otr_check(transcript_${name} bash ${transcript} $<TARGET_FILE:otr>)
endforeach()
