import Fuzzing
import Glibc

// One target in one process. Scripts/fuzz.py starts it, watches it and says what it died of.
//
//   strata-fuzz list                                   names and weights
//   strata-fuzz run NAME SEED FIRST COUNT PROGRESS     decodes inputs; PROGRESS is a file of 8 bytes that holds the number under way
//   strata-fuzz show NAME SEED INDEX                   writes an input
//   strata-fuzz decode NAME                            decodes what stands on standard input

/// The number under way where another process sees it without a system call per input.
func progress(_ path: String) -> UnsafeMutablePointer<Int> {
  let file = open(path, O_RDWR)
  guard file >= 0, let page = mmap(nil, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), page != MAP_FAILED else {
    refuse("\(path) cannot be mapped")
  }
  return page.assumingMemoryBound(to: Int.self)
}

func refuse(_ reason: String) -> Never {
  let text = Array("strata-fuzz: \(reason)\n".utf8)
  _ = text.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
  exit(64)
}

func target(_ name: String) -> FuzzTarget {
  guard let target = FuzzTargets.named(name) else { refuse("no target \(name); `strata-fuzz list` names them") }
  return target
}

func readInput() -> [UInt8] {
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = read(0, &piece, piece.count)
    guard count > 0 else { return bytes }
    bytes += piece[..<count]
  }
}

func main(_ arguments: [String]) {
  switch arguments.first {
  case "list": for target in FuzzTargets.all { print(target.name, target.weight) }
  case "run" where arguments.count == 6:
    guard let seed = UInt64(arguments[2]), let first = Int(arguments[3]), let count = Int(arguments[4]), first >= 0, count >= 0 else {
      refuse("SEED, FIRST and COUNT are numbers")
    }
    let place = progress(arguments[5])
    let accepted = target(arguments[1]).run(seed: seed, first..<first + count) { place.pointee = $0 }
    place.pointee = first + count
    print(accepted)
  case "show" where arguments.count == 4:
    guard let seed = UInt64(arguments[2]), let index = Int(arguments[3]) else { refuse("SEED and INDEX are numbers") }
    let bytes = target(arguments[1]).input(seed: seed, index: index)
    _ = bytes.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
  case "decode" where arguments.count == 2: print(target(arguments[1]).decode(readInput()) ? "accepted" : "refused")
  default: refuse("list | run NAME SEED FIRST COUNT PROGRESS | show NAME SEED INDEX | decode NAME")
  }
}

main(Array(CommandLine.arguments.dropFirst()))
