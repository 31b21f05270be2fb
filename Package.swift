// swift-tools-version: 6.2
import PackageDescription

// A folder is a target: Sources/<Floor>/<Name> is the module Strata<Name>, Tests/<Floor>/<Name>Tests its tests.
// Imports run downward or sideways along Docs/architecture.md's list of floors; `TidyTests` walks this manifest and fails otherwise.
//
// STRATA_BLOCKS_ONLY=1 in the environment leaves out the server and the tool, and with them every dependency but swift-system: a first
// build of the blocks and their tests then takes a minute instead of five.
let blocksOnly = Context.environment["STRATA_BLOCKS_ONLY"] != nil

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  // Only while Strata is the package being built; SwiftPM drops it where Strata is somebody's dependency.
  .treatAllWarnings(as: .error),
  .enableExperimentalFeature("Lifetimes"),
]

func block(_ floor: String, _ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: "Strata\(name)", dependencies: dependencies, path: "Sources/\(floor)/\(name)", swiftSettings: settings)
}

func tests(_ floor: String, _ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource]? = nil) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: dependencies + ["StrataRequirements"], path: "Tests/\(floor)/\(name)Tests",
    resources: resources, swiftSettings: settings)
}

func example(_ name: String, _ dependencies: [Target.Dependency], sources: String) -> Target {
  .executableTarget(name: "example-\(name)", dependencies: dependencies, path: "Examples/\(name)/\(sources)", swiftSettings: settings)
}

let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")

let nio: [Target.Dependency] = ["NIOCore", "NIOPosix", "NIOConcurrencyHelpers"].map { .product(name: $0, package: "swift-nio") }
let ssl = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let log = Target.Dependency.product(name: "Logging", package: "swift-log")

let blocks: [Target] = [
  block("Core", "Bytes", ["CStrataChecksum", "CStrataDigest"]),
  block("Core", "Checkers", ["StrataBytes", "StrataJobs"]),
  block("Core", "Compression", ["CStrataCompression"]),
  block("Core", "Disk", ["CStrataDisk", system]),
  block("Core", "Host", ["StrataBytes", "StrataDisk", "StrataJobs", "StrataNodes", system]),
  block("Core", "Jobs", ["CStrataJobs"]),
  block("Core", "Nodes", ["StrataDisk", "StrataJobs"]),
  block("Core", "Simulation", ["StrataBytes", "StrataDisk", "StrataJobs", "StrataNodes", system]),
  block("Storage", "Bitcask", ["CStrataMemory", "StrataBytes", "StrataDisk", "StrataFilters", "StrataJobs", "StrataWriteAheadLog", system]),
  block("Storage", "Filters", ["CStrataFilters", "CStrataMemory", "StrataBytes"]),
  block(
    "Storage", "LSMTree",
    ["CStrataMemory", "StrataBytes", "StrataDisk", "StrataFilters", "StrataJobs", "StrataSSTable", "StrataWriteAheadLog", system]),
  block("Storage", "MerkleTree", ["CStrataMemory", "StrataBytes", "StrataJobs"]),
  block("Storage", "NodeLog", ["StrataBytes", "StrataDisk", "StrataHost", "StrataJobs", "StrataNodes", "StrataWriteAheadLog", system]),
  block("Storage", "SSTable", ["CStrataMemory", "StrataBytes", "StrataCompression", "StrataDisk", "StrataFilters", "StrataJobs", system]),
  block("Storage", "WriteAheadLog", ["StrataBytes", "StrataDisk", "StrataJobs", system]),
  block(
    "Consensus", "Raft",
    ["StrataBytes", "StrataDisk", "StrataHost", "StrataJobs", "StrataNodes", "StrataWriteAheadLog", system]),
  block(
    "Proof", "Scenarios",
    [
      "StrataBitcask", "StrataBytes", "StrataCheckers", "StrataDisk", "StrataHost", "StrataJobs", "StrataLSMTree", "StrataNodes", "StrataRaft",
      "StrataSimulation", "StrataWriteAheadLog", system,
    ]),
  block("Partitioning", "ConsistentHashing", ["StrataBytes", "StrataDisk", "StrataJobs", system]),
  block("Encoding", "Avro", ["CStrataAvro", "StrataBytes", "StrataCompression", "StrataDisk", system]),
]

/// What Tests/Fuzz/Fuzzing decodes mutated bytes with.
let fuzzed: [Target.Dependency] = [
  "StrataAvro", "StrataBytes", "StrataCheckers", "StrataConsistentHashing", "StrataDisk", "StrataFilters", "StrataMerkleTree", "StrataNodes",
  "StrataRaft", "StrataSSTable", "StrataSimulation", "StrataWriteAheadLog", system,
]

let blockTests: [Target] = [
  .target(name: "Fuzzing", dependencies: fuzzed, path: "Tests/Fuzz/Fuzzing", swiftSettings: settings),
  .executableTarget(name: "strata-fuzz", dependencies: ["Fuzzing"], path: "Tests/Fuzz/Fuzzer", swiftSettings: settings),
  tests("Fuzz", "Fuzz", ["Fuzzing"]),
  .target(name: "StrataRequirements", path: "Tests/Requirements", swiftSettings: settings),
  .testTarget(name: "TidyTests", dependencies: ["StrataRequirements"], path: "Tests/TidyTests", swiftSettings: settings),
  tests("Core", "Bytes", ["StrataBytes", "StrataNodes"]),
  tests("Core", "Checkers", ["StrataCheckers", "StrataJobs", "StrataNodes"]),
  tests("Core", "Compression", ["StrataCompression", "StrataNodes"]),
  tests("Core", "Disk", ["StrataDisk", "StrataNodes", "StrataSimulation", system]),
  tests("Core", "Host", ["StrataHost", "StrataBytes", "StrataDisk", "StrataJobs", "StrataNodes"]),
  tests("Core", "Jobs", ["StrataJobs"]),
  tests("Core", "Simulation", ["StrataSimulation", "StrataBytes", "StrataDisk", "StrataNodes", system]),
  tests("Storage", "MerkleTree", ["StrataMerkleTree", "StrataBytes", "StrataNodes", "StrataSimulation"]),
  tests("Storage", "Filters", ["CStrataFilters", "StrataBytes", "StrataFilters", "StrataNodes"]),
  tests(
    "Storage", "Bitcask",
    ["StrataBitcask", "StrataBytes", "StrataDisk", "StrataJobs", "StrataNodes", "StrataSimulation", "StrataWriteAheadLog", system],
    resources: [.copy("Golden")]),
  tests(
    "Storage", "NodeLog",
    ["StrataNodeLog", "StrataBytes", "StrataDisk", "StrataHost", "StrataJobs", "StrataNodes", "StrataSimulation", "StrataWriteAheadLog", system]),
  tests(
    "Storage", "SSTable",
    ["StrataSSTable", "StrataBytes", "StrataCompression", "StrataDisk", "StrataFilters", "StrataJobs", "StrataNodes", "StrataSimulation", system]),
  tests(
    "Storage", "LSMTree",
    [
      "StrataLSMTree", "StrataBytes", "StrataDisk", "StrataFilters", "StrataJobs", "StrataNodes", "StrataSSTable", "StrataSimulation",
      "StrataWriteAheadLog", system,
    ]),
  tests(
    "Storage", "WriteAheadLog",
    ["StrataWriteAheadLog", "StrataBytes", "StrataDisk", "StrataJobs", "StrataNodes", "StrataSimulation", system],
    resources: [.copy("Golden")]),
  tests(
    "Partitioning", "ConsistentHashing",
    ["StrataConsistentHashing", "StrataBytes", "StrataDisk", "StrataNodes", "StrataSimulation", system]),
  tests(
    "Encoding", "Avro", ["StrataAvro", "StrataBytes", "StrataCompression", "StrataDisk", "StrataNodes", "StrataSimulation", system]),
  tests(
    "Consensus", "Raft",
    ["StrataRaft", "StrataBytes", "StrataDisk", "StrataHost", "StrataJobs", "StrataNodes", "StrataSimulation", "StrataWriteAheadLog", system]),
  tests("Proof", "Scenarios", ["StrataNodes", "StrataRaft", "StrataScenarios", "StrataSimulation"]),
]

/// The programs of Examples/, each a package of its own, built here as well so that the tests run them.
let examples: [Target] = [
  example("Avro", ["StrataAvro", "StrataDisk", system], sources: "Sources"),
  example("ConsistentHashing", ["StrataConsistentHashing"], sources: "Sources/Placement"),
  example("MerkleTree", ["StrataBytes", "StrataMerkleTree"], sources: "Sources"),
]

let server: [Target] = [
  block(
    "Server", "RESP",
    nio + [
      ssl, log, "CStrataServer", "StrataBitcask", "StrataBytes", "StrataDisk", "StrataFilters", "StrataHost", "StrataJobs", "StrataLSMTree",
      "StrataNodes", "StrataRaft", "StrataSSTable", "StrataTransport", "StrataWriteAheadLog", system,
    ]),
  block("Server", "Transport", nio + [ssl, log, "StrataBytes", "StrataDisk", "StrataHost", "StrataJobs", "StrataNodes", system]),
]

let tool: [Target] = [
  .executableTarget(
    name: "strata",
    dependencies: [
      "StrataAvro", "StrataBitcask", "StrataBytes", "StrataCheckers", "StrataCompression", "StrataConsistentHashing", "StrataDisk", "StrataFilters",
      "StrataJobs", "StrataLSMTree", "StrataMerkleTree", "StrataRESP", "StrataSSTable", "StrataScenarios", "StrataSimulation",
      "StrataWriteAheadLog", system, log, nio[0],
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
    ],
    path: "Sources/strata", swiftSettings: settings)
]

let shims: [Target] = [
  .target(
    name: "CStrataAvro", path: "Sources/Encoding/CStrataAvro", linkerSettings: ["bz2", "lzma", "z", "zstd"].map { .linkedLibrary($0) }),
  .target(name: "CStrataChecksum", path: "Sources/Core/CStrataChecksum"),
  .target(
    name: "CStrataCompression", path: "Sources/Core/CStrataCompression",
    linkerSettings: ["lz4", "zstd", "z", "snappy"].map { .linkedLibrary($0) }),
  .target(name: "CStrataDigest", path: "Sources/Core/CStrataDigest"),
  .target(name: "CStrataDisk", path: "Sources/Core/CStrataDisk"),
  .target(name: "CStrataJobs", path: "Sources/Core/CStrataJobs"),
  .target(name: "CStrataMemory", path: "Sources/Core/CStrataMemory"),
  .target(name: "CStrataFilters", path: "Sources/Storage/CStrataFilters"),
]

let serverTargets =
  server + tool + [
    .target(name: "CStrataServer", path: "Sources/Server/CStrataServer"),
    tests(
      "Server", "RESP",
      nio + [
        "Fuzzing", "StrataBitcask", "StrataDisk", "StrataFilters", "StrataHost", "StrataLSMTree", "StrataNodes", "StrataRESP",
        "StrataRaft", "StrataSimulation", "StrataWriteAheadLog", log, system,
      ]),
    tests(
      "Server", "Transport",
      nio + ["StrataTransport", "StrataBytes", "StrataDisk", "StrataHost", "StrataJobs", "StrataNodes", "StrataRaft", log, ssl, system]),
  ]

let serverProducts: [Product] = server.map { .library(name: $0.name, targets: [$0.name]) } + [.executable(name: "strata", targets: ["strata"])]

let package = Package(
  name: "strata",
  products: blocks.map { .library(name: $0.name, targets: [$0.name]) } + (blocksOnly ? [] : serverProducts),
  dependencies: [.package(url: "https://github.com/apple/swift-system", from: "1.8.1")]
    + (blocksOnly
      ? []
      : [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
      ]),
  targets: shims + blocks + blockTests + examples + (blocksOnly ? [] : serverTargets)
)
