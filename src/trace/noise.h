// The noise words of the sampler (SPEC SAMP-8): what machine::NoiseBlock asks for.
#ifndef OTR_TRACE_NOISE_H_
#define OTR_TRACE_NOISE_H_

#include <array>
#include <cstdint>

namespace otr::trace {

std::array<std::uint32_t, 8> noise_block(const std::array<std::uint8_t, 32>& seed,
                                         std::uint32_t position, std::uint32_t block);

}  // namespace otr::trace

#endif  // OTR_TRACE_NOISE_H_
