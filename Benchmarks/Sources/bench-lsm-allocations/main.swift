import Foundation
import SystemPackage

// Counts what reads of the ordered engine ask of the heap and of reference counts once they are warm. The exit code is 1 where one of them asks for
// more than it may, or where the counters do not count.

func column(_ value: Double) -> String {
  let text = String(format: "%.5f", value)
  return String(repeating: " ", count: max(0, 11 - text.count)) + text
}

/// What is wrong with what a load asked for.
func fault(_ load: Load, _ meter: Meter) -> String? {
  switch load.limit {
  case .none: meter.allocations == 0 && meter.references == 0 ? nil : "both must be 0"
  case .start(let most): meter.allocations <= most ? nil : "more than \(most) allocations"
  case .some: meter.allocations >= 1 && meter.references >= 1 ? nil : "the counters do not count"
  }
}

func report() throws -> Bool {
  let directory = FileManager.default.temporaryDirectory.appendingPathComponent("strata-allocations-\(getpid())")
  defer { try? FileManager.default.removeItem(at: directory) }
  let stores = try Stores(FilePath(directory.path))
  print("per operation, \(Load.operations) of each after as many to warm it:\nallocations  references")
  var missed = 0
  for load in Load.all {
    var meter = Meter()
    try load.run(stores, &meter)
    let fault = fault(load, meter)
    print("\(column(meter.allocations)) \(column(meter.references))  \(load.name)\(fault.map { "  MISSED: \($0)" } ?? "")")
    missed += fault == nil ? 0 : 1
  }
  try stores.close()
  print(missed == 0 ? "every load keeps its limit" : "\(missed) of \(Load.all.count) loads ask for more than they may")
  return missed == 0
}

do {
  exit(try report() ? 0 : 1)
} catch {
  FileHandle.standardError.write(Data("bench-lsm-allocations: \(error)\n".utf8))
  exit(1)
}
