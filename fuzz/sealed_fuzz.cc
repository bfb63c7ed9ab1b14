// A stranger's bytes to both ends of a sealed exchange: as a request to an enclave, as chunks to a
// client (u16 length and so many bytes, each), and as padded text. What is opened is within its
// bounds, and padding has one form.
#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "protocol/sealed.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr;
  using namespace otr::protocol;
  static const crypto::X25519Key enclave = crypto::X25519Key::from_bytes(Bytes(32, 1)).value();
  const ByteView input(data, size);
  if (const auto text = unpad(input)) {
    const Bytes again = pad(*text);
    OTR_CHECK(std::ranges::equal(again, input));
  }
  const auto opened = open_request(enclave, as_bytes("session"), input);
  OTR_CHECK(!opened || opened->plaintext.size() <= kMaxSealedRequestBytes);

  static const SealedRequest request =
      seal_request(enclave.public_key(), {}, crypto::X25519Key::from_bytes(Bytes(32, 2)).value(),
                   {})
          .value();
  AnswerOpener answer(request.exchange, Hash{});
  bool refused = false, final = false;
  for (ByteView rest = input; rest.size() >= 2;) {
    const std::size_t length =
        std::min<std::size_t>(load_le<std::uint16_t>(rest.data()), rest.size() - 2);
    const auto chunk = answer.open(rest.subspan(2, length));
    OTR_CHECK(!chunk || (!refused && !final));
    refused = refused || !chunk;
    final = final || (chunk && chunk->final);
    rest = rest.subspan(2 + length);
  }
  OTR_CHECK(answer.finish().has_value() == (final && !refused));
  return 0;
}
