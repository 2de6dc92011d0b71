import Foundation
import Model
import Testing

@testable import SpecFile

/// Images that lie below: `from` and `dockerfile`.
@Suite struct FromKeysTests {
    private func text(_ image: String) -> String {
        "kiln: 1\nservice: hello\nrun: {port: 80}\nimage:\n" + image
    }

    private func recipe(_ image: String) throws -> Recipe {
        try SpecFile.parse(text(image), file: "kiln.yaml").image
    }

    @Test func `an image below needs neither a distribution nor a command`() throws {
        let recipe = try recipe("  from: registry.example/base:v1\n")
        #expect(recipe.from?.name == "registry.example/base:v1")
        #expect(recipe.from?.digest == nil)
        #expect(recipe.distribution == nil && recipe.command.isEmpty)
    }

    @Test(arguments: [
        "oci:../base:v1", "oci-archive:base.tar", "docker-archive:b.tar:x", "127.0.0.1:5000/a/b",
    ])
    func `every place of an image may be named, with a digest or without`(name: String) throws {
        let digest = "sha256:" + String(repeating: "a", count: 64)
        #expect(try recipe("  from: \"\(name)\"\n").from?.name == name)
        let pinned = try recipe("  from: \"\(name)@\(digest)\"\n").from
        #expect(pinned?.name == name && pinned?.digest?.description == digest)
    }

    @Test func `packages on an image below need a distribution`() throws {
        let recipe = try recipe("  from: debian:12\n  distribution: debian/bookworm\n  packages: [curl]\n")
        #expect(recipe.packages.map(\.name) == ["curl"])
        #expect(
            problems(text("  from: debian:12\n  packages: [curl]\n")) == [
                "4: image has no distribution → add distribution: debian/bookworm"
            ])
    }

    @Test func `a Dockerfile is an image below`() throws {
        let from = try recipe("  dockerfile: build/Dockerfile\n").from
        #expect(from?.dockerfile == "build/Dockerfile")
        #expect(try Recipe.ImageRequest(parsing: from?.description ?? "") == from)
    }

    @Test func `a Dockerfile of an included file lies beside that`() throws {
        let spec = try SpecFile.parse(text("  include: [../shared/a.yaml]\n"), file: "kiln.yaml") { _ in
            "dockerfile: Dockerfile\n"
        }
        #expect(spec.image.from?.dockerfile == "../shared/Dockerfile")
    }

    @Test(arguments: [
        ("from: a@sha256:12", "from is wrong: \"a@sha256:12\" is not the name of an image"),
        ("from: a b", "from is wrong: \"a b\" is not the name of an image"),
        ("from: \"@sha256:\"", "from is wrong: \"@sha256:\" is not the name of an image"),
        ("from: [a]", "from is a list; a text is needed"),
        ("from: a\n  dockerfile: D", "from and dockerfile are both given"),
        ("from: a\n  distribution: debian/sid", "distribution is given, but no packages to put on from"),
        ("dockerfile: D\n  layers: 9", "layers is given, but no packages to put on dockerfile"),
        ("from: a\n  base: essential", "base is given, and from too"),
        ("dockerfile: ../D", "dockerfile is \"../D\"; it leads out of the folder of this file"),
        ("dockerfile: D@E", "dockerfile is \"D@E\"; a file without spaces and @ in its path is needed"),
    ])
    func `each slip is named`(image: String, said: String) {
        let found = problems(text("  " + image + "\n")).map {
            String($0.drop { $0 != " " }.dropFirst().prefix { $0 != "→" }.dropLast())
        }
        #expect(found == [said])
    }
}

/// What the page about recipes shows.
@Suite struct RecipesPageTests {
    @Test func `every example of the page is sound`() throws {
        let page = try Repository.text("docs/recipes.md")
        let blocks = page.components(separatedBy: "```yaml\n").dropFirst().compactMap {
            $0.components(separatedBy: "```").first
        }
        let shared = try #require(blocks.first { $0.hasPrefix("#") })
        let images = blocks.filter { $0.hasPrefix("image:") }
        #expect(images.count >= 5)
        let files = try #require(blocks.first { $0.hasPrefix("files:") })
        let wrapped =
            "image:\n  from: a\n" + files.split(separator: "\n").map { "  \($0)\n" }.joined()
        for image in images + [wrapped] {
            do {
                _ = try SpecFile.parse(
                    "kiln: 1\nservice: web\nrun: {port: 80}\n" + image, file: "kiln.yaml"
                ) { _ in shared }
            } catch {
                // Some show one key only.
                #expect(Failure.list(error).allSatisfy { $0.message.hasPrefix("image has no") }, "\(error)")
            }
        }
    }
}
