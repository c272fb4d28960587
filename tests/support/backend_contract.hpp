// The contract of Backend as tests. A backend joins in three lines:
//
//   #include "support/backend_contract.hpp"
//   INSTANTIATE_TEST_SUITE_P(Mine, vaspace::test::BackendContract, testing::Values(
//       BackendCase{"Mine", [](const HostAllocator& host) { return shared_backend(Mine::create({.host =
//       host})); }}), name_of);
//
// Each test asks the profile what the backend can do: of what it can, the result is tested; of what it
// denies, that the call answers not_supported and changes nothing. Include this in one source of a test
// program.
#pragma once

#include "support/backend_contract_binds.hpp"
#include "support/backend_contract_host.hpp"
#include "support/backend_contract_model.hpp"
#include "support/backend_contract_reservations.hpp"
