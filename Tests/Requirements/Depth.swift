import Foundation

/// How much deeper than by default the long tests go: the environment's STRATA_DEPTH, 1 without it.
public let testDepth = max(1, ProcessInfo.processInfo.environment["STRATA_DEPTH"].flatMap { Int($0) } ?? 1)
