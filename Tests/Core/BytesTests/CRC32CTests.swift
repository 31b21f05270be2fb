import StrataBytes
import StrataRequirements
import Testing

@Suite struct CRC32CTests {
  @Test(.requirement("Simulation.never.10")) func checkValue() {
    #expect(crc32c(Array("123456789".utf8).span.bytes) == 0xE306_9283)
  }
}
