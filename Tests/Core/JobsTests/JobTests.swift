import StrataJobs
import StrataRequirements
import Testing

@Suite struct JobTests {
  @Test func stepsCompare() { #expect(JobStep.done != .progress(bytes: 0)) }
}
