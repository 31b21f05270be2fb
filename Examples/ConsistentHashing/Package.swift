// swift-tools-version: 6.2
import PackageDescription

// Run it with: STRATA_BLOCKS_ONLY=1 swift run --package-path Examples/ConsistentHashing
let package = Package(
  name: "placement-example",
  dependencies: [.package(name: "strata", path: "../..")],
  targets: [
    .executableTarget(
      name: "Placement", dependencies: [.product(name: "StrataConsistentHashing", package: "strata")],
      swiftSettings: [.swiftLanguageMode(.v6)])
  ]
)
