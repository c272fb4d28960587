// Operations as they meet resources: is memory there, and is it ordered against the binds around it?
#pragma once

#include "command_buffer.hpp"

namespace vasim {

// A command reads or writes these bytes: V20, V25, V28, D7.
void touch(Execution& execution, Resource& resource, Bytes bytes, Use use);

// A bind changes what lies behind these bytes: V24, V25.
void touch_by_bind(Device& device, Batch& batch, Resource& resource, Bytes bytes);

// An operation was submitted that will bind these bytes.
void expect_bind(OperationId operation, Resource& resource, Bytes bytes);
[[nodiscard]] bool is_bind_expected(const Resource& resource, Bytes bytes);

}  // namespace vasim
