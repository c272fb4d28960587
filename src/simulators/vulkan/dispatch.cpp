#include "dispatch.hpp"

#include <algorithm>
#include <vector>

#include "call.hpp"
#include "opaque.hpp"

namespace vasim {
namespace {

// The object types of OPAQUE, by the names that Vulkan gives the types.
constexpr VkObjectType kBufferView = VK_OBJECT_TYPE_BUFFER_VIEW, kImageView = VK_OBJECT_TYPE_IMAGE_VIEW,
                       kShaderModule = VK_OBJECT_TYPE_SHADER_MODULE,
                       kPipelineCache = VK_OBJECT_TYPE_PIPELINE_CACHE,
                       kPipelineLayout = VK_OBJECT_TYPE_PIPELINE_LAYOUT, kSampler = VK_OBJECT_TYPE_SAMPLER,
                       kDescriptorSetLayout = VK_OBJECT_TYPE_DESCRIPTOR_SET_LAYOUT,
                       kDescriptorPool = VK_OBJECT_TYPE_DESCRIPTOR_POOL,
                       kFramebuffer = VK_OBJECT_TYPE_FRAMEBUFFER, kRenderPass = VK_OBJECT_TYPE_RENDER_PASS,
                       kQueryPool = VK_OBJECT_TYPE_QUERY_POOL,
                       kSamplerYcbcrConversion = VK_OBJECT_TYPE_SAMPLER_YCBCR_CONVERSION,
                       kDescriptorUpdateTemplate = VK_OBJECT_TYPE_DESCRIPTOR_UPDATE_TEMPLATE;

template <class Function>
PFN_vkVoidFunction erase(Function* function) {
  return reinterpret_cast<PFN_vkVoidFunction>(function);
}

std::vector<Command> all_commands() {
  std::vector<Command> commands = {
#define FUNCTION(name, scope, extension) \
  Command{"vk" #name, erase(&Entry<Call::name, &api::name>::call), Scope::scope, extension, Call::name},
#define ALIAS(name, function, scope, extension)                                                     \
  Command{"vk" #name, erase(&Entry<Call::function, &api::function>::call), Scope::scope, extension, \
          Call::function},
#define OPAQUE(type)                                                                                         \
  Command{"vkCreate" #type,                                                                                  \
          erase(&Entry<Call::Create##type, &CreateOpaque<PFN_vkCreate##type>::create<k##type>>::call),       \
          Scope::Device, "", Call::Create##type},                                                            \
      Command{"vkDestroy" #type,                                                                             \
              erase(&Entry<Call::Destroy##type, &CreateOpaque<PFN_vkCreate##type>::destroy<k##type>>::call), \
              Scope::Device, "", Call::Destroy##type},
#define ABSENT(name) \
  Command{"vk" #name, erase(&Absent<Call::name, PFN_vk##name>::call), Scope::Device, "", Call::name},
#include "functions.def"
  };
  std::sort(commands.begin(), commands.end(),
            [](const Command& a, const Command& b) { return a.name < b.name; });
  return commands;
}

const std::vector<Command>& commands() {
  static const std::vector<Command> all = all_commands();
  return all;
}

}  // namespace

const Command* find_command(std::string_view name) {
  const auto found =
      std::lower_bound(commands().begin(), commands().end(), name,
                       [](const Command& one, std::string_view key) { return one.name < key; });
  return found != commands().end() && found->name == name ? &*found : nullptr;
}

std::optional<Call> call_named(std::string_view name) {
  const Command* const command = find_command(name);
  if (command == nullptr) return std::nullopt;
  return command->call;
}

const char* name_of(Call call) {
  for (const Command& command : commands())
    if (command.call == call) return command.name.data();
  return "?";
}

}  // namespace vasim
