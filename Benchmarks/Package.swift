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

let package = Package(
  name: "strata-benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "strata", path: "..")
  ],
  targets: [
    .target(name: "BenchmarkKit", swiftSettings: settings),
    bench("bench-core", [strata("StrataBytes")]),
    .testTarget(name: "BenchmarkKitTests", dependencies: ["BenchmarkKit"], swiftSettings: settings),
  ]
)
