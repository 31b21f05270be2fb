/// One breach of a house rule, with the place and what to do about it.
struct Finding: CustomStringConvertible, Hashable {
  let path: String
  /// From 1; 0 where the finding is about the file as a whole.
  let line: Int
  let text: String

  init(_ path: String, line: Int = 0, _ text: String) {
    self.path = path
    self.line = line
    self.text = text
  }

  var description: String { line == 0 ? "\(path): \(text)" : "\(path):\(line): \(text)" }
}
