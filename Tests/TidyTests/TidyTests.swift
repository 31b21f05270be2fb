import StrataRequirements
import Testing

/// The house rules, held up to every file of the package.
@Suite struct TidyTests {
  @Test func theWalkFindsThePackage() {
    #expect(Repository.sources.contains { $0.path == "Sources/Core/Disk/File.swift" })
    #expect(Repository.others.contains { $0.path == "Tests/TidyTests/TidyTests.swift" })
    #expect(Repository.texts.contains { $0.path == ".ci/run" })
    #expect(Repository.texts.contains { $0.path == "Sources/Core/CStrataDisk/disk.c" })
    #expect(Repository.folders.contains(Layout.Block(floor: "Core", name: "Disk")))
    #expect(Repository.manifest.entries.contains { $0.call == "block" && $0.strings.prefix(2) == ["Core", "Disk"] })
  }

  @Test func importsRunDownwardOrSideways() { report(Layout.importFindings(Repository.sources, shims: Repository.folders)) }

  @Test func importsHaveNoCycle() {
    let cycle = Layout.cycle(Repository.sources)
    #expect(cycle == nil, "\(cycle.map { $0.joined(separator: " -> ") } ?? "")")
  }

  @Test func manifestAgreesWithTheFolders() {
    report(Repository.manifest.findings(folders: Repository.folders, testFolders: Repository.testFolders))
  }

  @Test func publicDeclarationsAreDocumented() { report(DocumentationCheck(Repository.sources).findings()) }

  @Test func filesFunctionsAndLinesStayShort() {
    report((Repository.sources + Repository.others).flatMap(SizeCheck.findings))
    report(Repository.texts.flatMap { SizeCheck.longLines($0.path, $0.lines) })
  }

  @Test func nothingIsPutOff() {
    report((Repository.sources + Repository.others).flatMap { WordingCheck.bannedWords($0.path, $0.lines) })
    report(Repository.texts.flatMap { WordingCheck.bannedWords($0.path, $0.lines) })
  }

  @Test func uncheckedConstructsHaveReasons() { report(Repository.sources.flatMap(WordingCheck.missingReasons)) }

  @Test func onlyDiskAsksTheOperatingSystemForFiles() { report(Repository.sources.flatMap(LawCheck.filesBehindTheDoor)) }

  @Test func protocolsHaveNoHiddenInputs() { report(Repository.sources.flatMap(LawCheck.hiddenInputs)) }

  @Test(.requirement("Simulation.keep.1")) func testsDoNotSleep() {
    report(Repository.others.filter { $0.path.hasPrefix("Tests/") }.flatMap(LawCheck.sleeps))
  }

  @Test(.requirement("Simulation.keep.4")) func namedRequirementsExist() {
    report(Repository.requirementPages.findings)
    let tests = Repository.others.filter { $0.path.hasPrefix("Tests/") && !$0.path.hasSuffix("/CheckerTests.swift") }
    report(tests.flatMap(Repository.requirementPages.unknownNames))
    #expect(tests.contains { $0.code.contains { $0.contains(".requirement(") } })
  }

  private func report(_ findings: [Finding], _ location: SourceLocation = #_sourceLocation) {
    for finding in findings { Issue.record("\(finding)", sourceLocation: location) }
  }
}
