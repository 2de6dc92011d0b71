import Model
import Testing

@testable import Baking

/// What a lock says of build steps.
@Suite struct BuildLockTests {
    private static func recipe(_ builds: [BuildStep]) throws -> Recipe {
        Recipe(
            distribution: try .init(parsing: "debian/bookworm"), command: ["server"], builds: builds)
    }

    private static func step(_ packages: [String], name: String? = nil) throws -> BuildStep {
        BuildStep(
            name: name, packages: try packages.map { try .init(parsing: $0) }, command: ["true"],
            copies: [.init(from: "/out", to: "/out")])
    }

    private static func lock(_ builds: [[String]]) throws -> Lock {
        var lock = try PackageMaker.lock(PackageMaker.small)
        lock.builds = try builds.map {
            var own = try PackageMaker.lock(PackageMaker.small, requested: $0)
            own.base = .essential
            return own
        }
        return lock
    }

    @Test func `the packages of steps are written and read back, and a lock without steps has none`() throws {
        let lock = try BuildLockTests.lock([["gcc"], []])
        let text = LockFile.text(lock)
        #expect(text.contains("\n  \"builds\": [\n    {\n      \"accounts\""))
        #expect(try LockFile.parse(Array(text.utf8), place: "kiln.lock") == lock)
        #expect(!LockFile.text(try BuildLockTests.lock([])).contains("builds"))
    }

    @Test func `what stands wrong in a step's packages is named with its line`() throws {
        let text = LockFile.text(try BuildLockTests.lock([["gcc"]]))
        let line = text.split(separator: "\n").firstIndex { $0.hasPrefix("      \"base\"") }! + 1
        let damaged = text.replacing("      \"base\": \"essential\"", with: "      \"base\": \"some\"")
        let nested = text.replacing("      \"accounts\"", with: "      \"builds\": [],\n      \"accounts\"")
        #expect(throws: Failure.self) { try LockFile.parse(Array(nested.utf8), place: "kiln.lock") }
        do {
            _ = try LockFile.parse(Array(damaged.utf8), place: "kiln.lock")
            Issue.record("it was taken")
        } catch {
            #expect(Failure.list(error).first?.place == "kiln.lock:\(line)")
        }
    }

    @Test func `a lock is stale where a step asks for other packages, or where there are other steps`() throws
    {
        let recipe = try BuildLockTests.recipe([
            BuildLockTests.step(["gcc"], name: "app"), BuildLockTests.step([]),
        ])
        #expect(try BuildLockTests.lock([["gcc"], []]).staleness(for: recipe) == nil)
        #expect(
            try BuildLockTests.lock([["gcc"], ["make"]]).staleness(for: recipe)
                == "build step 2: the packages changed since: -make")
        #expect(
            try BuildLockTests.lock([["tcc"], []]).staleness(for: recipe)
                == "build step app: the packages changed since: +gcc -tcc")
        #expect(
            try BuildLockTests.lock([]).staleness(for: recipe)
                == "it has packages for 0 build steps, the recipe has 2")
    }

    @Test
    func `steps that ask for the same packages get the same, and old ones are found by what they ask for`()
        async throws
    {
        let recipe = try BuildLockTests.recipe(
            [["gcc"], ["make"], ["gcc"]].map { try BuildLockTests.step($0) })
        let old = try BuildLockTests.lock([["make"], ["gcc"], ["gcc"]])
        var lock = try BuildLockTests.lock([])
        var asked: [([String], [String]?)] = []
        try await lock.addBuilds(recipe, updating: (old, .security)) { root, before in
            asked.append((root.packages.map(\.name), before?.lock.requested.map(\.name)))
            #expect(root.base == .essential && root.files.isEmpty)
            return try BuildLockTests.lock([root.packages.map(\.name)]).builds[0]
        }
        #expect(asked.map(\.0) == [["gcc"], ["make"]])
        #expect(asked.map(\.1) == [["gcc"], ["make"]])
        #expect(lock.staleness(for: recipe) == nil)
    }

    @Test func `only the steps are run whose results are asked for and not there`() throws {
        var first = try BuildLockTests.step([])
        var second = first
        let third = first
        first.copies = []
        second.copies = []
        second.taken = [.init(step: 0, copy: .init(from: "/out/a", to: "/a"))]
        var last = third
        last.taken = [.init(step: 1, copy: .init(from: "/out/", to: "/b"))]
        let recipe = try BuildLockTests.recipe([first, second, last])
        #expect(recipe.wantedResults == [["out/a"], ["out"], ["out"]])
        #expect(recipe.neededBuilds(known: []) == [0, 1, 2])
        #expect(recipe.neededBuilds(known: [2]) == [])
        #expect(recipe.neededBuilds(known: [1]) == [2])
        #expect(recipe.neededBuilds(known: [0]) == [1, 2])
    }
}
