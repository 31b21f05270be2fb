import StrataDisk
import StrataRequirements
import SystemPackage
import Testing

@Suite struct POSIXTests {
  @Test func missingFileIsNotFound() throws {
    #expect(throws: DiskError.notFound("/nonexistent/file")) { _ = try POSIXFileSystem().open("/nonexistent/file", .read) }
  }
}
