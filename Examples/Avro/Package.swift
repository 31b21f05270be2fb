// swift-tools-version: 6.2
import PackageDescription

// Run it with: STRATA_BLOCKS_ONLY=1 swift run --package-path Examples/Avro
let package = Package(
  name: "avro-example",
  dependencies: [.package(name: "strata", path: "../.."), .package(url: "https://github.com/apple/swift-system", from: "1.8.1")],
  targets: [
    .executableTarget(
      name: "Evolution",
      dependencies: [
        .product(name: "StrataAvro", package: "strata"), .product(name: "StrataDisk", package: "strata"),
        .product(name: "SystemPackage", package: "swift-system"),
      ], path: "Sources", swiftSettings: [.swiftLanguageMode(.v6)])
  ])
