// swift-tools-version: 6.2
import PackageDescription

// STRATA_BLOCKS_ONLY=1 in the environment leaves out what the example does not need.
let package = Package(
  name: "host-example",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "strata", path: "../..")],
  targets: [
    .executableTarget(
      name: "host-example",
      dependencies: ["StrataBytes", "StrataHost", "StrataNodeLog", "StrataNodes"].map { .product(name: $0, package: "strata") }, path: "Sources")
  ]
)
