"""Administration: who may manage the system, and by which tokens."""

from __future__ import annotations

from tests.infra.template import Template, reference, text


def test_every_route_of_people_who_manage_the_system_has_the_authorizer_and_no_other_route_has(
    everything: Template,
) -> None:
    # given
    [authorizer] = everything.of_type("AWS::ApiGatewayV2::Authorizer")
    managed = set()
    # when
    for route in everything.of_type("AWS::ApiGatewayV2::Route"):
        path = route.properties["RouteKey"].partition(" ")[2]
        if path.split("/")[1] in {"admin", "studio"}:
            managed.add(path)
            # then
            assert route.properties["AuthorizationType"] == "JWT", str(route)
            assert reference(route.properties["AuthorizerId"]) == authorizer.id, str(route)
        else:
            assert route.properties.get("AuthorizationType", "NONE") == "NONE", str(route)
            assert "AuthorizerId" not in route.properties, str(route)
    assert managed, "no route is managed: the test would pass for nothing"


def test_the_authorizer_takes_the_tokens_of_the_administrators_pool_and_client_alone(everything: Template) -> None:
    [authorizer] = everything.of_type("AWS::ApiGatewayV2::Authorizer")
    [pool] = everything.of_type("AWS::Cognito::UserPool")
    [client] = everything.of_type("AWS::Cognito::UserPoolClient")
    assert authorizer.properties["AuthorizerType"] == "JWT"
    assert authorizer.properties["IdentitySource"] == ["$request.header.Authorization"]
    trusted = authorizer.properties["JwtConfiguration"]
    assert [reference(each) for each in trusted["Audience"]] == [client.id]
    assert text(trusted["Issuer"]) == f"https://cognito-idp.${{AWS::Region}}.amazonaws.com/${{{pool.id}}}"


def test_nobody_becomes_an_administrator_unasked_and_a_deployment_loses_none(everything: Template) -> None:
    [pool] = everything.of_type("AWS::Cognito::UserPool")
    assert pool.properties["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    assert pool.properties["DeletionProtection"] == "ACTIVE"
    assert pool.deletion_policy == "Retain"
    policy = pool.properties["Policies"]["PasswordPolicy"]
    assert policy["MinimumLength"] >= 14
    assert all(policy[f"Require{each}"] for each in ("Lowercase", "Uppercase", "Numbers", "Symbols"))
    assert pool.properties["EnabledMfas"] == ["SOFTWARE_TOKEN_MFA"]


def test_a_stolen_token_is_good_for_an_hour_at_most(everything: Template) -> None:
    [client] = everything.of_type("AWS::Cognito::UserPoolClient")
    units = client.properties["TokenValidityUnits"]
    assert (units["AccessToken"], units["IdToken"]) == ("minutes", "minutes")
    assert max(client.properties["AccessTokenValidity"], client.properties["IdTokenValidity"]) <= 60
    assert "ALLOW_USER_PASSWORD_AUTH" not in client.properties["ExplicitAuthFlows"]
    assert client.properties["PreventUserExistenceErrors"] == "ENABLED"
