# ffmpeg, which others wrote, uploads frames to the device and downloads them again, without a pipeline: they come
# back as they were, on profiles that have nothing in common.
#   cmake -DFFMPEG=… -DMANIFEST=… -P check_ffmpeg.cmake
# ffmpeg 5.1 uses timeline semaphores as if every device had Vulkan 1.2, without enabling them: D8 is ignored.
set(ENV{VK_DRIVER_FILES} ${MANIFEST})
set(ENV{VK_ICD_FILENAMES} ${MANIFEST})
set(source -hide_banner -loglevel error -f lavfi -i testsrc=size=320x240:rate=5:duration=1)
set(sum -f framemd5 -)
execute_process(COMMAND ${FFMPEG} ${source} -vf format=rgba ${sum} OUTPUT_VARIABLE expected RESULT_VARIABLE result)
if(NOT result EQUAL 0 OR NOT expected MATCHES "307200")
  message(FATAL_ERROR "ffmpeg alone ended with ${result}:\n${expected}")
endif()
foreach(profile discrete_bar256 discrete_rebar integrated mobile_tiler tiny)
  set(ENV{VASIM_VULKAN} "profile=${profile};ignore=D8;delay_us=0..300;abort=1")
  execute_process(COMMAND ${FFMPEG} -init_hw_device vulkan=vk -filter_hw_device vk ${source}
                          -vf format=rgba,hwupload,hwdownload,format=rgba ${sum}
                  OUTPUT_VARIABLE output ERROR_VARIABLE errors RESULT_VARIABLE result)
  if(NOT result EQUAL 0 OR NOT output STREQUAL expected)
    message(FATAL_ERROR "${profile}: ffmpeg ended with ${result}:\n${errors}\n${output}")
  endif()
endforeach()
message(STATUS "five frames, five profiles: as they were")
