#!/usr/bin/env bash
# ./build.sh        installs what is missing, builds, and replays real traces on the CPU backend
# ./build.sh test   installs what the tests need too, runs all of them, and counts
#
# Debian packages are installed with apt-get as root; anybody else is told the one line to run.
set -euo pipefail
cd "$(dirname "$0")"

build_packages=(g++ cmake ninja-build libexpected-dev zlib1g-dev libcli11-dev libfmt-dev nlohmann-json3-dev
  libvulkan-dev libvulkan-volk-dev)
test_packages=(libgtest-dev libgmock-dev librapidcheck-dev clang libclang-rt-dev clang-format
  vulkan-validationlayers mesa-vulkan-drivers vulkan-tools)

say() { printf '\n== %s\n' "$*"; }

install_missing() {
  local missing=() package status
  if ! command -v dpkg-query >/dev/null; then
    echo "No Debian here: please see to it that these, or what they hold, are installed: $*"
    return
  fi
  for package in "$@"; do
    status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) || true
    [ "$status" = "install ok installed" ] || missing+=("$package")
  done
  if [ "${#missing[@]}" -eq 0 ]; then return; fi
  if [ "$(id -u)" -ne 0 ]; then
    echo "sudo apt-get install -y --no-install-recommends ${missing[*]}"
    exit 1
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"
}

build_and_replay() {
  install_missing "${build_packages[@]}"
  say "building"
  cmake --preset release -DVASPACE_BUILD_TESTS=OFF
  cmake --build --preset release
  say "replaying recorded traces through the default and the arena allocator on the CPU backend"
  build/bin/vaspace replay --allocator default,arena --backend cpu tests/traces/*.csv.gz
}

# The tests. A stage that does not build counts as one failed test, and the next one goes on.
passed=0
failed=0
skipped=0
failures=()

fail_stage() {
  failed=$((failed + 1))
  failures+=("$1")
  echo "FAILED: $1"
}

# stage NAME COMMAND...: a step without tests of its own, such as a build.
stage() {
  local name=$1
  shift
  say "$name"
  "$@" || { fail_stage "$name" && return 1; }
}

# The number behind an attribute of the first line of a JUnit file that has it.
junit_number() { sed -n "s/.*[[:space:]]$2=\"\([0-9]*\)\".*/\1/p" "$1" | head -n 1; }

# run_tests NAME FOLDER OPTIONS...: ctest in a build folder, its results added to the count.
run_tests() {
  local name=$1 folder=$2 report status=0 tests bad skip off
  shift 2
  report=$(mktemp)
  say "$name"
  "${without_randomisation[@]}" ctest --test-dir "$folder" -j3 --output-on-failure --output-junit "$report" \
    "$@" > "$report.log" 2>&1 || status=$?
  grep -vE '^ +Start +[0-9]|^ *[0-9]+/[0-9]+ Test .* Passed ' "$report.log" || true
  tests=$(junit_number "$report" tests)
  bad=$(junit_number "$report" failures)
  skip=$(junit_number "$report" skipped)
  off=$(junit_number "$report" disabled)
  rm -f "$report" "$report.log"
  if [ -z "$tests" ] || [ "$tests" -eq 0 ]; then
    fail_stage "$name: no test was run"
    return
  fi
  passed=$((passed + tests - bad - skip - off))
  failed=$((failed + bad))
  skipped=$((skipped + skip + off))
  echo "$name: $tests tests, $bad failed, $((skip + off)) not run"
  if [ "$bad" -ne 0 ]; then
    failures+=("$name: $bad tests")
  elif [ "$status" -ne 0 ]; then
    fail_stage "$name: tests that could not be run"  # not built, say, which the report counts as skipped
  fi
}

# Thread sanitizer does not bear the address space randomisation of newer kernels.
without_randomisation=()
if setarch "$(uname -m)" --addr-no-randomize true 2>/dev/null; then
  without_randomisation=(setarch "$(uname -m)" --addr-no-randomize)
fi
build_folder() { "${without_randomisation[@]}" cmake --build "$@"; }

test_release() {
  stage "release: configure" cmake --preset release -DVASPACE_BUILD_TESTS=ON -DVASPACE_TOGETHER=ON || return 0
  stage "release: build" build_folder build || return 0
  run_tests "release" build
}

# All of it, by the other compiler, with its warnings as errors, and the fuzzers.
asan_folders=(base range device va arena heap trace vulkan cuda simulators)
test_asan() {
  local folder
  export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"
  stage "clang, address and undefined: configure" cmake --preset asan -DVASPACE_INSTALL=OFF \
    -DVASPACE_BUILD_FUZZERS=ON || return 0
  stage "clang, address and undefined: build, warnings are errors" build_folder build-asan || return 0
  passed=$((passed + 1))
  for folder in "${asan_folders[@]}"; do
    if [ "$folder" = cuda ] && [ ! -x build-asan/bin/vaspace_cuda_backend_test ]; then
      echo "No cuda.h of CUDA 12 here: the CUDA backend is not built, nor tested."
      continue
    fi
    run_tests "address and undefined: $folder" "build-asan/tests/$folder"
  done
}

test_tsan() {
  stage "thread: configure" cmake --preset tsan -DVASPACE_BUILD_TOOLS=OFF -DVASPACE_BUILD_SAMPLES=OFF \
    -DVASPACE_INSTALL=OFF || return 0
  stage "thread: build" build_folder build-tsan --target vaspace_thread_tests || return 0
  run_tests "thread" build-tsan -L threads
}

# Side by side: there are hardly more of them than cores.
fuzz_seconds=30
test_fuzz() {
  local fuzzers fuzzer name
  local -A running=()
  fuzzers=(build-asan/bin/vaspace_fuzz_*)
  if [ ! -x "${fuzzers[0]}" ]; then
    fail_stage "fuzz: no fuzzer was built"
    return
  fi
  say "${#fuzzers[@]} fuzzers, $fuzz_seconds seconds"
  for fuzzer in "${fuzzers[@]}"; do
    name=$(basename "$fuzzer")
    mkdir -p "build-asan/corpus/$name"
    "$fuzzer" -max_total_time="$fuzz_seconds" -verbosity=0 -print_final_stats=1 \
      -artifact_prefix="build-asan/$name-" "build-asan/corpus/$name" > "build-asan/$name.log" 2>&1 &
    running[$name]=$!
  done
  for name in "${!running[@]}"; do
    if wait "${running[$name]}"; then
      passed=$((passed + 1))
      echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "build-asan/$name.log") runs"
    else
      cat "build-asan/$name.log"
      fail_stage "$name"
    fi
  done
}

run_all_tests() {
  if stage "packages" install_missing "${build_packages[@]}" "${test_packages[@]}"; then
    test_release
    test_asan
    test_fuzz
    test_tsan
  fi
  local failure
  if [ "${#failures[@]}" -ne 0 ]; then
    say "what failed"
    for failure in "${failures[@]}"; do echo "  $failure"; done
  fi
  echo
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
}

case "${1-}" in
  "") build_and_replay ;;
  test) run_all_tests ;;
  *)
    echo "usage: ./build.sh [test]" >&2
    exit 2
    ;;
esac
