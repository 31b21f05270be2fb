// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that peers and measuring tools never become dependencies of the product.
// An executable per area: `bench("bench-wal", ...)` is Sources/bench-wal, run by `make bench-wal`.

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

func bench(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: ["BenchmarkKit"] + dependencies, swiftSettings: settings)
}

func strata(_ module: String) -> Target.Dependency { .product(name: module, package: "strata") }

let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")

let package = Package(
  name: "strata-benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "strata", path: ".."),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
  ],
  targets: [
    .target(name: "BenchmarkKit", swiftSettings: settings),
    bench("bench-avro", ["StrataAvro", "StrataBytes", "StrataDisk"].map(strata) + [system]),
    bench("bench-core", [strata("StrataBytes")]),
    bench("bench-filters", [strata("StrataFilters")]),
    bench("bench-bitcask", ["StrataBitcask", "StrataBytes", "StrataDisk", "StrataJobs", "StrataWriteAheadLog"].map(strata) + [system]),
    bench("bench-checkers", ["StrataCheckers", "StrataNodes"].map(strata)),
    bench("bench-hashing", [strata("StrataConsistentHashing")]),
    bench("bench-lsm", ["StrataCompression", "StrataJobs", "StrataLSMTree", "StrataSSTable"].map(strata) + [system]),
    bench("bench-lsm-allocations", ["StrataJobs", "StrataLSMTree", "StrataSSTable"].map(strata) + ["CAllocations", system]),
    bench("lsm-differential", ["StrataCompression", "StrataLSMTree", "StrataSSTable"].map(strata) + [system]),
    bench("bench-merkle", [strata("StrataBytes"), strata("StrataMerkleTree")]),
    bench("bench-resp", []),
    bench("bench-raft", ["StrataHost", "StrataNodes", "StrataRaft"].map(strata) + [system]),
    .target(name: "CAllocations"),
    bench("bench-sim", ["StrataNodes", "StrataRaft", "StrataScenarios", "StrataSimulation"].map(strata) + ["CAllocations"]),
    bench("bench-sstable", ["StrataCompression", "StrataDisk", "StrataFilters", "StrataSSTable"].map(strata) + [system]),
    bench("bench-wal", [strata("StrataWriteAheadLog"), strata("StrataJobs"), system]),
    .testTarget(name: "BenchmarkKitTests", dependencies: ["BenchmarkKit"], swiftSettings: settings),
  ]
)
