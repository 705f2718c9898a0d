loom_fuzz(schema infer)
loom_fuzz(regex infer)
foreach(name schema regex)   # with the made-up vocabularies of the tests
  target_sources(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/infer/vocabulary.c)
  target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/infer)
endforeach()
