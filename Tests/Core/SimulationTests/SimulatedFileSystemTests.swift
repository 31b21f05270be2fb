import StrataDisk
import StrataNodes
import StrataRequirements
import SystemPackage
import Testing

@testable import StrataSimulation

@Suite struct SimulatedFileSystemTests {
  @Test(.requirement("Simulation.never.3")) func aNameNeedsItsDirectorySynced() throws {
    let disk = SimulatedFileSystem()
    let file = try disk.open("/a", .createNew)
    try file.write([1, 2, 3], at: 0)
    try file.sync(.full)
    #expect(try disk.fork().crash(.nothingKept).exists("/a") == false)
    try disk.syncDirectory("/")
    #expect(disk.crash(.nothingKept).bytes(of: "/a") == [1, 2, 3])
  }
}
