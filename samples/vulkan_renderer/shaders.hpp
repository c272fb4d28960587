// Two shaders as SPIR-V, written instruction by instruction, so that the sample needs no shader compiler.
//
//   vertex                                              fragment
//     layout(binding = 0) uniform Place {                 layout(binding = 1) uniform Material { vec4 tint;
//     };
//       vec4 axes; vec4 centre;                            layout(binding = 2) uniform sampler2D surface;
//     };
//     gl_Position = vec4(axes.xy * position.x             colour = texture(surface, texel) * tint;
//         + axes.zw * position.y + centre.xy, 0, 1);
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace spirv {

using Words = std::vector<std::uint32_t>;

enum Opcode : std::uint32_t {
  kMemoryModel = 14,
  kEntryPoint = 15,
  kExecutionMode = 16,
  kCapability = 17,
  kTypeVoid = 19,
  kTypeInt = 21,
  kTypeFloat = 22,
  kTypeVector = 23,
  kTypeImage = 25,
  kTypeSampledImage = 27,
  kTypeStruct = 30,
  kTypePointer = 32,
  kTypeFunction = 33,
  kConstant = 43,
  kFunction = 54,
  kFunctionEnd = 56,
  kVariable = 59,
  kLoad = 61,
  kStore = 62,
  kAccessChain = 65,
  kDecorate = 71,
  kMemberDecorate = 72,
  kVectorShuffle = 79,
  kCompositeConstruct = 80,
  kCompositeExtract = 81,
  kImageSampleImplicitLod = 87,
  kFAdd = 129,
  kFMul = 133,
  kVectorTimesScalar = 142,
  kLabel = 248,
  kReturn = 253,
};

// Names of what an instruction makes are numbers, which each shader gives out by an enum.
struct Assembler {
  Words words;

  explicit Assembler(std::uint32_t names) : words{0x07230203, 0x00010000, 0, names, 0} {
    (*this)(kCapability, {1});
    (*this)(kMemoryModel, {0, 1});
  }
  void operator()(std::uint32_t opcode, std::initializer_list<std::uint32_t> operands) {
    words.push_back(static_cast<std::uint32_t>(operands.size() + 1) << 16U | opcode);
    words.insert(words.end(), operands);
  }
};
enum Decoration : std::uint32_t {
  kBlock = 2,
  kBuiltIn = 11,
  kLocation = 30,
  kBinding = 33,
  kDescriptorSet = 34,
  kOffset = 35,
};
enum Storage : std::uint32_t { kUniformConstant = 0, kInput = 1, kUniform = 2, kOutput = 3 };

constexpr std::uint32_t kMainLow = 0x6e69616d;  // "main", and the zero that ends it
constexpr std::uint32_t kMainHigh = 0;
constexpr std::uint32_t kFloatOne = 0x3f800000;

// What both shaders name; what is their own is numbered from kOwn on.
enum Common : std::uint32_t {
  kMain = 1,
  kTexel,
  kTexelIn,
  kVoid,
  kMainType,
  kFloat,
  kVec2,
  kVec4,
  kInt,
  kInVec2,
  kOutVec4,
  kVec4Pointer,
  kFirst,
  kBegin,
  kOwn
};

inline void declare_types(Assembler& op) {
  op(kTypeVoid, {kVoid});
  op(kTypeFunction, {kMainType, kVoid});
  op(kTypeFloat, {kFloat, 32});
  op(kTypeVector, {kVec2, kFloat, 2});
  op(kTypeVector, {kVec4, kFloat, 4});
  op(kTypeInt, {kInt, 32, 1});
  op(kTypePointer, {kInVec2, kInput, kVec2});
  op(kTypePointer, {kOutVec4, kOutput, kVec4});
  op(kTypePointer, {kVec4Pointer, kUniform, kVec4});
  op(kConstant, {kInt, kFirst, 0});
}

inline void begin_main(Assembler& op) {
  op(kFunction, {kVoid, kMain, 0, kMainType});
  op(kLabel, {kBegin});
}

inline Words end_main(Assembler& op) {
  op(kReturn, {});
  op(kFunctionEnd, {});
  return op.words;
}

inline Words vertex_shader() {
  enum : std::uint32_t {
    kPosition = kOwn,
    kClip,
    kTexelOut,
    kPlace,
    kPlaceBlock,
    kOutVec2,
    kPlacePointer,
    kZero,
    kOne,
    kSecond,
    kAt,
    kAxesAt,
    kAxes,
    kCentreAt,
    kCentre4,
    kRight,
    kUp,
    kX,
    kY,
    kAlongRight,
    kAlongUp,
    kTurned,
    kCentre,
    kMoved,
    kWhere,
    kNames
  };
  Assembler op(kNames);
  op(kEntryPoint, {0, kMain, kMainLow, kMainHigh, kPosition, kTexel, kClip, kTexelOut});
  op(kDecorate, {kPosition, kLocation, 0});
  op(kDecorate, {kTexel, kLocation, 1});
  op(kDecorate, {kClip, kBuiltIn, 0});
  op(kDecorate, {kTexelOut, kLocation, 0});
  op(kDecorate, {kPlaceBlock, kBlock});
  op(kMemberDecorate, {kPlaceBlock, 0, kOffset, 0});
  op(kMemberDecorate, {kPlaceBlock, 1, kOffset, 16});
  op(kDecorate, {kPlace, kDescriptorSet, 0});
  op(kDecorate, {kPlace, kBinding, 0});

  declare_types(op);
  op(kTypePointer, {kOutVec2, kOutput, kVec2});
  op(kTypeStruct, {kPlaceBlock, kVec4, kVec4});
  op(kTypePointer, {kPlacePointer, kUniform, kPlaceBlock});
  op(kConstant, {kFloat, kZero, 0});
  op(kConstant, {kFloat, kOne, kFloatOne});
  op(kConstant, {kInt, kSecond, 1});
  op(kVariable, {kInVec2, kPosition, kInput});
  op(kVariable, {kInVec2, kTexel, kInput});
  op(kVariable, {kOutVec4, kClip, kOutput});
  op(kVariable, {kOutVec2, kTexelOut, kOutput});
  op(kVariable, {kPlacePointer, kPlace, kUniform});

  begin_main(op);
  op(kLoad, {kVec2, kAt, kPosition});
  op(kAccessChain, {kVec4Pointer, kAxesAt, kPlace, kFirst});
  op(kLoad, {kVec4, kAxes, kAxesAt});
  op(kAccessChain, {kVec4Pointer, kCentreAt, kPlace, kSecond});
  op(kLoad, {kVec4, kCentre4, kCentreAt});
  op(kVectorShuffle, {kVec2, kRight, kAxes, kAxes, 0, 1});
  op(kVectorShuffle, {kVec2, kUp, kAxes, kAxes, 2, 3});
  op(kCompositeExtract, {kFloat, kX, kAt, 0});
  op(kCompositeExtract, {kFloat, kY, kAt, 1});
  op(kVectorTimesScalar, {kVec2, kAlongRight, kRight, kX});
  op(kVectorTimesScalar, {kVec2, kAlongUp, kUp, kY});
  op(kFAdd, {kVec2, kTurned, kAlongRight, kAlongUp});
  op(kVectorShuffle, {kVec2, kCentre, kCentre4, kCentre4, 0, 1});
  op(kFAdd, {kVec2, kMoved, kTurned, kCentre});
  op(kCompositeConstruct, {kVec4, kWhere, kMoved, kZero, kOne});
  op(kStore, {kClip, kWhere});
  op(kLoad, {kVec2, kTexelIn, kTexel});
  op(kStore, {kTexelOut, kTexelIn});
  return end_main(op);
}

inline Words fragment_shader() {
  enum : std::uint32_t {
    kColour = kOwn,
    kMaterial,
    kMaterialBlock,
    kSurface,
    kImage,
    kSampled,
    kMaterialPointer,
    kSampledPointer,
    kSurfaceIn,
    kSample,
    kTintAt,
    kTint,
    kTinted,
    kNames
  };
  Assembler op(kNames);
  op(kEntryPoint, {4, kMain, kMainLow, kMainHigh, kTexel, kColour});
  op(kExecutionMode, {kMain, 7});  // the origin is at the upper left
  op(kDecorate, {kTexel, kLocation, 0});
  op(kDecorate, {kColour, kLocation, 0});
  op(kDecorate, {kMaterialBlock, kBlock});
  op(kMemberDecorate, {kMaterialBlock, 0, kOffset, 0});
  op(kDecorate, {kMaterial, kDescriptorSet, 0});
  op(kDecorate, {kMaterial, kBinding, 1});
  op(kDecorate, {kSurface, kDescriptorSet, 0});
  op(kDecorate, {kSurface, kBinding, 2});

  declare_types(op);
  op(kTypeImage, {kImage, kFloat, 1, 0, 0, 0, 1, 0});  // two dimensions, to be sampled
  op(kTypeSampledImage, {kSampled, kImage});
  op(kTypeStruct, {kMaterialBlock, kVec4});
  op(kTypePointer, {kMaterialPointer, kUniform, kMaterialBlock});
  op(kTypePointer, {kSampledPointer, kUniformConstant, kSampled});
  op(kVariable, {kInVec2, kTexel, kInput});
  op(kVariable, {kOutVec4, kColour, kOutput});
  op(kVariable, {kMaterialPointer, kMaterial, kUniform});
  op(kVariable, {kSampledPointer, kSurface, kUniformConstant});

  begin_main(op);
  op(kLoad, {kSampled, kSurfaceIn, kSurface});
  op(kLoad, {kVec2, kTexelIn, kTexel});
  op(kImageSampleImplicitLod, {kVec4, kSample, kSurfaceIn, kTexelIn});
  op(kAccessChain, {kVec4Pointer, kTintAt, kMaterial, kFirst});
  op(kLoad, {kVec4, kTint, kTintAt});
  op(kFMul, {kVec4, kTinted, kSample, kTint});
  op(kStore, {kColour, kTinted});
  return end_main(op);
}

}  // namespace spirv
