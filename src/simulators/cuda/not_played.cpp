#include "not_played.hpp"

#include "call.hpp"

namespace vasim::cuda {

int not_played(const char* function) {
  return call(function, Needs::nothing, [&](Call& made) {
    return made.broken("not-played", function, "this simulator does not have it", CUDA_ERROR_NOT_SUPPORTED);
  });
}

}  // namespace vasim::cuda
