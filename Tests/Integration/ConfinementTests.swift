import Foundation
import Model
import Testing
import WireAPI
import TestKit

extension OnThisHost {
    @Suite struct ConfinementTests {
        @Test func `what a service asks for is in its plan, and inspect shows what holds its instances`()
            throws
        {
            let site = try Site()
            try site.edit("v1") {
                $0.replacing(
                    #/(?m)^run:$/#,
                    with: "run:\n  allow: [{system-calls: [keyctl], reason: keeps tickets in a ring}]")
            }
            try site.start()
            let field = "run.allow.system-calls keyctl: keeps tickets in a ring"
            let plan = try site.kiln("plan", "--file", "\(site.folder)/v1/kiln.yaml")
            #expect(plan.output.contains("+ " + field), "\(plan)")
            #expect(try site.deploy("v1").status == 0)
            let again = try site.kiln("deploy", "--force", "--file", "\(site.folder)/v1/kiln.yaml")
            #expect(again.errors.contains("! " + field), "\(again.errors)")

            let status = try site.kiln("status", "hello", "--output", "json").decoded(StatusAnswer.self)
            let id = try #require(status.services[0].instances.last?.id)
            let seen = try site.kiln("inspect", id.text, "--output", "json").decoded(ConfinementAnswer.self)
                .confinement
            #expect(seen.instance == id && seen.hasNoNewPrivileges && seen.filtersSystemCalls)
            #expect(seen.allowed.map(\.name) == ["system-calls keyctl"])
            let text = try site.kiln("inspect", id.text)
            #expect(text.status == 0 && text.output.contains("keeps tickets in a ring"), "\(text)")
            let missing = try site.kiln("inspect", "hello-r9-9")
            #expect(missing.status == 2 && missing.errors.contains("no instance hello-r9-9"), "\(missing)")
            site.stop()
            #expect(site.leftovers() == [])
        }
    }
}
