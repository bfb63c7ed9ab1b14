// The functions of the kernel that every machine has: plain loops, of which the compiler makes what
// vectors it can; also for kernels of instruction sets that have nothing better for some of them.
// Contracts: kernels.h.
#ifndef OTR_ENGINE_KERNELS_PORTABLE_H_
#define OTR_ENGINE_KERNELS_PORTABLE_H_

#include "engine/kernels.h"

namespace otr::engine::portable {

InputRow encode(const std::int16_t* a, std::size_t cols, int bits, std::uint8_t* out);
void multiply(const std::uint8_t* weights, std::size_t blocks, std::size_t groups,
              const InputRow* rows, std::size_t count, int bits, std::int64_t* acc);
void scores(const std::int16_t* const* q, std::size_t count, std::size_t head_dim,
            const std::int16_t* k, std::size_t begin, std::size_t end, std::int32_t* sums);
TileSums weigh(const std::int32_t* sums, int q_exponent, const KvTile& tile, std::size_t begin,
               std::size_t end, std::int16_t* w);
void values(const std::int16_t* w, std::size_t count, std::size_t head_dim, const std::int8_t* v,
            std::size_t begin, std::size_t end, std::int32_t* a);

}  // namespace otr::engine::portable

#endif  // OTR_ENGINE_KERNELS_PORTABLE_H_
