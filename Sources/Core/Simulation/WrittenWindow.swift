import StrataDisk

/// A window that writes what is published, so that recordings and faults see each store as the write it stands for. Before it is published a
/// store is nowhere: a killed process may lose it, which is one of the things that can happen to a real one.
final class WrittenWindow: FileWindow {
  let range: Range<UInt64>
  // The memory is this object's alone and ends with it; who stores where is the owner's rule.
  nonisolated(unsafe) let base: UnsafeMutableRawPointer
  private let file: any File

  init(_ file: any File, _ range: Range<UInt64>) throws(DiskError) {
    self.file = file
    self.range = range
    base = .allocate(byteCount: range.count, alignment: 8)
    let present = try file.read(at: range.lowerBound, count: range.count)
    base.initializeMemory(as: UInt8.self, repeating: 0, count: range.count)
    base.copyMemory(from: present, byteCount: present.count)
  }

  deinit { base.deallocate() }

  func publish(_ part: Range<UInt64>) throws(DiskError) {
    let bytes = UnsafeRawBufferPointer(start: base + Int(part.lowerBound - range.lowerBound), count: part.count)
    try file.write(bytes.bytes, at: part.lowerBound)
  }
}
