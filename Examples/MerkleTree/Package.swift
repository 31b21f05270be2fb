// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "merkle-tree-example",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "strata", path: "../..")],
  targets: [
    .executableTarget(
      name: "merkle-tree-example", dependencies: [.product(name: "StrataBytes", package: "strata"), .product(name: "StrataMerkleTree", package: "strata")],
      path: "Sources")
  ]
)
