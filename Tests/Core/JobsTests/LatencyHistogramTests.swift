import StrataJobs
import Testing

@Suite struct LatencyHistogramTests {
  @Test func quantilesAreAtMostAnEighthTooHigh() {
    for scale in [1, 16, 1000, 1_000_003, 1 << 50] as [UInt64] {
      let histogram = LatencyHistogram()
      for value in 1...1000 as ClosedRange<UInt64> { histogram.record(nanoseconds: value * scale) }
      #expect(histogram.count == 1000)
      for share in [0.001, 0.25, 0.5, 0.99, 0.999, 1] {
        let exact = UInt64((1000 * share).rounded(.up)) * scale
        let found = histogram.quantile(share)
        #expect(found >= exact && found - exact <= exact / 8, "\(share) of \(scale): \(found), not \(exact)")
      }
    }
  }

  @Test func extremesHaveTheirPlace() {
    let histogram = LatencyHistogram()
    #expect(histogram.quantile(0.5) == 0)
    histogram.record(nanoseconds: .max)
    #expect(histogram.quantile(1) == .max)
    histogram.record(nanoseconds: 0)
    #expect(histogram.quantile(0) == 0 && histogram.quantile(0.5) == 0 && histogram.quantile(-3) == 0 && histogram.quantile(7) == .max)
  }
}
