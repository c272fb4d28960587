// Which memory a resource can take.
#pragma once

#include "profile.hpp"
#include "resource.hpp"

namespace vasim {

struct Device;

// The types that may hold a resource of these kinds; `content` is one Content bit.
std::uint32_t memory_type_bits(const Profile& profile, std::uint32_t content, const Resource& resource);

// What follows from how a resource was created, for memory requirements and their pNext.
void fill_dedicated(const Resource& resource, void* next);

// Sparse resources count against the address space while they live (V30). False where there is no room.
bool take_sparse_address_space(Device& device, Resource& resource);

// The end of a buffer or image.
void release_resource(Device& device, Resource& resource);

}  // namespace vasim
