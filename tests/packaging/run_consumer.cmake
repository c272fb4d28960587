# cmake -DSOURCE=... -DBINARY=... -DOPTIONS=... -P run_consumer.cmake: configures a consumer anew, builds and
# runs it.
function(step)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${result}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${BINARY})
step(${CMAKE_COMMAND} -S ${SOURCE} -B ${BINARY} ${OPTIONS})
step(${CMAKE_COMMAND} --build ${BINARY} --target consumer)
step(${BINARY}/consumer)
message(STATUS "${output}")
