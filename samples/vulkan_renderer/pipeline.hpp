// How a thing is drawn: textured triangles into one picture, a descriptor set for each thing.
//
// Always true: a descriptor set names one thing's uniforms and its texture's view; a thing whose texture has
// moved needs another one.
#pragma once

#include <array>

#include "headless_vulkan.hpp"
#include "scene.hpp"
#include "shaders.hpp"

constexpr VkFormat kFormat = VK_FORMAT_R8G8B8A8_UNORM;

class Pipeline {
 public:
  static constexpr std::uint32_t kMostSets = 2048;

  // `picture` is of kFormat, and `side` pixels wide and high.
  Pipeline(VkDevice device, VkImage picture, std::uint32_t side) : device_(device), side_(side) {
    create_pass();
    picture_ = view_of(picture);
    create_framebuffer();
    create_descriptors();
    create_pipeline();
  }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  ~Pipeline() {
    vkDestroyPipeline(device_, pipeline_, nullptr);
    vkDestroyPipelineLayout(device_, layout_, nullptr);
    vkDestroyDescriptorPool(device_, pool_, nullptr);
    vkDestroyDescriptorSetLayout(device_, set_layout_, nullptr);
    vkDestroySampler(device_, sampler_, nullptr);
    vkDestroyFramebuffer(device_, framebuffer_, nullptr);
    vkDestroyImageView(device_, picture_, nullptr);
    vkDestroyRenderPass(device_, pass_, nullptr);
  }

  // The device is done with them when they are destroyed and freed.
  [[nodiscard]] VkImageView view_of(VkImage image) const {
    VkImageViewCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO;
    info.image = image;
    info.viewType = VK_IMAGE_VIEW_TYPE_2D;
    info.format = kFormat;
    info.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
    VkImageView view = VK_NULL_HANDLE;
    check(vkCreateImageView(device_, &info, nullptr, &view), "vkCreateImageView");
    return view;
  }
  void destroy(VkImageView view) const { vkDestroyImageView(device_, view, nullptr); }

  // `places`: the buffer of every frame's places, at the offset that draw() is given.
  [[nodiscard]] VkDescriptorSet describe(VkBuffer places, VkBuffer materials, VkDeviceSize material,
                                         VkImageView texture) const {
    VkDescriptorSetAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
    allocate.descriptorPool = pool_;
    allocate.descriptorSetCount = 1;
    allocate.pSetLayouts = &set_layout_;
    VkDescriptorSet set = VK_NULL_HANDLE;
    check(vkAllocateDescriptorSets(device_, &allocate, &set), "vkAllocateDescriptorSets");
    const VkDescriptorBufferInfo place_info{places, 0, sizeof(Place)};
    const VkDescriptorBufferInfo material_info{materials, material, sizeof(Material)};
    const VkDescriptorImageInfo texture_info{sampler_, texture, VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL};
    std::array<VkWriteDescriptorSet, 3> writes{};
    for (std::uint32_t i = 0; i < writes.size(); ++i) {
      writes[i].sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
      writes[i].dstSet = set;
      writes[i].dstBinding = i;
      writes[i].descriptorCount = 1;
      writes[i].descriptorType = kTypes[i];
    }
    writes[0].pBufferInfo = &place_info;
    writes[1].pBufferInfo = &material_info;
    writes[2].pImageInfo = &texture_info;
    vkUpdateDescriptorSets(device_, static_cast<std::uint32_t>(writes.size()), writes.data(), 0, nullptr);
    return set;
  }
  void free(VkDescriptorSet set) const { check(vkFreeDescriptorSets(device_, pool_, 1, &set), "free"); }

  // The picture is dark then; end() leaves it to be copied from.
  void begin(VkCommandBuffer commands) const {
    const VkClearValue dark{{{0.02F, 0.02F, 0.05F, 1.0F}}};
    VkRenderPassBeginInfo info{};
    info.sType = VK_STRUCTURE_TYPE_RENDER_PASS_BEGIN_INFO;
    info.renderPass = pass_;
    info.framebuffer = framebuffer_;
    info.renderArea.extent = {side_, side_};
    info.clearValueCount = 1;
    info.pClearValues = &dark;
    vkCmdBeginRenderPass(commands, &info, VK_SUBPASS_CONTENTS_INLINE);
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, pipeline_);
  }
  void draw(VkCommandBuffer commands, VkDescriptorSet set, std::uint32_t place, VkBuffer mesh,
            VkDeviceSize mesh_offset, std::uint32_t vertices) const {
    vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, layout_, 0, 1, &set, 1, &place);
    vkCmdBindVertexBuffers(commands, 0, 1, &mesh, &mesh_offset);
    vkCmdDraw(commands, vertices, 1, 0, 0);
  }
  static void end(VkCommandBuffer commands) { vkCmdEndRenderPass(commands); }

 private:
  static constexpr std::array<VkDescriptorType, 3> kTypes{VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER_DYNAMIC,
                                                          VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER,
                                                          VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER};

  void create_pass() {
    VkAttachmentDescription picture{};
    picture.format = kFormat;
    picture.samples = VK_SAMPLE_COUNT_1_BIT;
    picture.loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR;
    picture.storeOp = VK_ATTACHMENT_STORE_OP_STORE;
    picture.stencilLoadOp = VK_ATTACHMENT_LOAD_OP_DONT_CARE;
    picture.stencilStoreOp = VK_ATTACHMENT_STORE_OP_DONT_CARE;
    picture.initialLayout = VK_IMAGE_LAYOUT_UNDEFINED;
    picture.finalLayout = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    const VkAttachmentReference written{0, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL};
    VkSubpassDescription drawing{};
    drawing.pipelineBindPoint = VK_PIPELINE_BIND_POINT_GRAPHICS;
    drawing.colorAttachmentCount = 1;
    drawing.pColorAttachments = &written;
    // The frame before has been copied, and this one will be.
    std::array<VkSubpassDependency, 2> order{};
    order[0].srcSubpass = VK_SUBPASS_EXTERNAL;
    order[0].srcStageMask = VK_PIPELINE_STAGE_TRANSFER_BIT;
    order[0].dstStageMask = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT;
    order[0].dstAccessMask = VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT;
    order[1].dstSubpass = VK_SUBPASS_EXTERNAL;
    order[1].srcStageMask = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT;
    order[1].srcAccessMask = VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT;
    order[1].dstStageMask = VK_PIPELINE_STAGE_TRANSFER_BIT;
    order[1].dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT;
    VkRenderPassCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_RENDER_PASS_CREATE_INFO;
    info.attachmentCount = 1;
    info.pAttachments = &picture;
    info.subpassCount = 1;
    info.pSubpasses = &drawing;
    info.dependencyCount = static_cast<std::uint32_t>(order.size());
    info.pDependencies = order.data();
    check(vkCreateRenderPass(device_, &info, nullptr, &pass_), "vkCreateRenderPass");
  }

  void create_framebuffer() {
    VkFramebufferCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_FRAMEBUFFER_CREATE_INFO;
    info.renderPass = pass_;
    info.attachmentCount = 1;
    info.pAttachments = &picture_;
    info.width = info.height = side_;
    info.layers = 1;
    check(vkCreateFramebuffer(device_, &info, nullptr, &framebuffer_), "vkCreateFramebuffer");
  }

  void create_descriptors() {
    VkSamplerCreateInfo nearest{};
    nearest.sType = VK_STRUCTURE_TYPE_SAMPLER_CREATE_INFO;
    nearest.addressModeU = nearest.addressModeV = nearest.addressModeW =
        VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE;
    check(vkCreateSampler(device_, &nearest, nullptr, &sampler_), "vkCreateSampler");
    std::array<VkDescriptorSetLayoutBinding, kTypes.size()> bindings{};
    std::array<VkDescriptorPoolSize, kTypes.size()> sizes{};
    for (std::uint32_t i = 0; i < kTypes.size(); ++i) {
      const bool vertex = i == 0;
      bindings[i].binding = i;
      bindings[i].descriptorType = kTypes[i];
      bindings[i].descriptorCount = 1;
      bindings[i].stageFlags = vertex ? VK_SHADER_STAGE_VERTEX_BIT : VK_SHADER_STAGE_FRAGMENT_BIT;
      sizes[i] = {kTypes[i], kMostSets};
    }
    VkDescriptorSetLayoutCreateInfo layout{};
    layout.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
    layout.bindingCount = static_cast<std::uint32_t>(bindings.size());
    layout.pBindings = bindings.data();
    check(vkCreateDescriptorSetLayout(device_, &layout, nullptr, &set_layout_),
          "vkCreateDescriptorSetLayout");
    VkDescriptorPoolCreateInfo pool{};
    pool.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    pool.flags = VK_DESCRIPTOR_POOL_CREATE_FREE_DESCRIPTOR_SET_BIT;
    pool.maxSets = kMostSets;
    pool.poolSizeCount = static_cast<std::uint32_t>(sizes.size());
    pool.pPoolSizes = sizes.data();
    check(vkCreateDescriptorPool(device_, &pool, nullptr, &pool_), "vkCreateDescriptorPool");
    VkPipelineLayoutCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    info.setLayoutCount = 1;
    info.pSetLayouts = &set_layout_;
    check(vkCreatePipelineLayout(device_, &info, nullptr, &layout_), "vkCreatePipelineLayout");
  }

  [[nodiscard]] VkShaderModule module_of(const spirv::Words& words) const {
    VkShaderModuleCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
    info.codeSize = words.size() * sizeof(std::uint32_t);
    info.pCode = words.data();
    VkShaderModule module = VK_NULL_HANDLE;
    check(vkCreateShaderModule(device_, &info, nullptr, &module), "vkCreateShaderModule");
    return module;
  }

  void create_pipeline() {
    const VkShaderModule vertex = module_of(spirv::vertex_shader());
    const VkShaderModule fragment = module_of(spirv::fragment_shader());
    std::array<VkPipelineShaderStageCreateInfo, 2> stages{};
    stages[0].stage = VK_SHADER_STAGE_VERTEX_BIT;
    stages[0].module = vertex;
    stages[1].stage = VK_SHADER_STAGE_FRAGMENT_BIT;
    stages[1].module = fragment;
    for (VkPipelineShaderStageCreateInfo& stage : stages) {
      stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
      stage.pName = "main";
    }
    const VkVertexInputBindingDescription binding{0, sizeof(Vertex), VK_VERTEX_INPUT_RATE_VERTEX};
    const std::array<VkVertexInputAttributeDescription, 2> attributes{
        {{0, 0, VK_FORMAT_R32G32_SFLOAT, offsetof(Vertex, position)},
         {1, 0, VK_FORMAT_R32G32_SFLOAT, offsetof(Vertex, texel)}}};
    VkPipelineVertexInputStateCreateInfo input{};
    input.sType = VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO;
    input.vertexBindingDescriptionCount = 1;
    input.pVertexBindingDescriptions = &binding;
    input.vertexAttributeDescriptionCount = static_cast<std::uint32_t>(attributes.size());
    input.pVertexAttributeDescriptions = attributes.data();
    VkPipelineInputAssemblyStateCreateInfo assembly{};
    assembly.sType = VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO;
    assembly.topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST;
    const VkViewport viewport{0, 0, static_cast<float>(side_), static_cast<float>(side_), 0, 1};
    const VkRect2D scissor{{0, 0}, {side_, side_}};
    VkPipelineViewportStateCreateInfo seen{};
    seen.sType = VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO;
    seen.viewportCount = seen.scissorCount = 1;
    seen.pViewports = &viewport;
    seen.pScissors = &scissor;
    VkPipelineRasterizationStateCreateInfo raster{};
    raster.sType = VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO;
    raster.lineWidth = 1;
    VkPipelineMultisampleStateCreateInfo samples{};
    samples.sType = VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO;
    samples.rasterizationSamples = VK_SAMPLE_COUNT_1_BIT;
    VkPipelineColorBlendAttachmentState opaque{};
    opaque.colorWriteMask = VK_COLOR_COMPONENT_R_BIT | VK_COLOR_COMPONENT_G_BIT | VK_COLOR_COMPONENT_B_BIT |
                            VK_COLOR_COMPONENT_A_BIT;
    VkPipelineColorBlendStateCreateInfo blend{};
    blend.sType = VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO;
    blend.attachmentCount = 1;
    blend.pAttachments = &opaque;
    VkGraphicsPipelineCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO;
    info.stageCount = static_cast<std::uint32_t>(stages.size());
    info.pStages = stages.data();
    info.pVertexInputState = &input;
    info.pInputAssemblyState = &assembly;
    info.pViewportState = &seen;
    info.pRasterizationState = &raster;
    info.pMultisampleState = &samples;
    info.pColorBlendState = &blend;
    info.layout = layout_;
    info.renderPass = pass_;
    const VkResult made = vkCreateGraphicsPipelines(device_, VK_NULL_HANDLE, 1, &info, nullptr, &pipeline_);
    vkDestroyShaderModule(device_, vertex, nullptr);
    vkDestroyShaderModule(device_, fragment, nullptr);
    check(made, "vkCreateGraphicsPipelines");
  }

  VkDevice device_;
  std::uint32_t side_;
  VkRenderPass pass_ = VK_NULL_HANDLE;
  VkImageView picture_ = VK_NULL_HANDLE;
  VkFramebuffer framebuffer_ = VK_NULL_HANDLE;
  VkSampler sampler_ = VK_NULL_HANDLE;
  VkDescriptorSetLayout set_layout_ = VK_NULL_HANDLE;
  VkDescriptorPool pool_ = VK_NULL_HANDLE;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  VkPipeline pipeline_ = VK_NULL_HANDLE;
};
