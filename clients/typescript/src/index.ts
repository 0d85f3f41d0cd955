/**
 * The typed client of Gatehouse. The services are here; their messages are in modules
 * of their own, named after the contract: "@gatehouse/client/chat/v1/run".
 */
export { AccountService } from "./gen/gatehouse/auth/v1/account_pb.js";
export { ApiKeyService } from "./gen/gatehouse/auth/v1/api_key_pb.js";
export { ConfigService } from "./gen/gatehouse/auth/v1/config_pb.js";
export { EmailService } from "./gen/gatehouse/auth/v1/email_pb.js";
export { FactorService } from "./gen/gatehouse/auth/v1/factor_pb.js";
export { GrantService } from "./gen/gatehouse/auth/v1/grant_pb.js";
export { IdentityProviderService } from "./gen/gatehouse/auth/v1/identity_provider_pb.js";
export { IdentityService } from "./gen/gatehouse/auth/v1/identity_pb.js";
export { InvitationService } from "./gen/gatehouse/auth/v1/invitation_pb.js";
export { KeyService } from "./gen/gatehouse/auth/v1/key_pb.js";
export { OAuthClientService } from "./gen/gatehouse/auth/v1/oauth_client_pb.js";
export { OrganizationService } from "./gen/gatehouse/auth/v1/organization_pb.js";
export { OutboxService } from "./gen/gatehouse/auth/v1/outbox_pb.js";
export { PasskeyService } from "./gen/gatehouse/auth/v1/passkey_pb.js";
export { PublishableKeyService } from "./gen/gatehouse/auth/v1/publishable_key_pb.js";
export { RoleService } from "./gen/gatehouse/auth/v1/role_pb.js";
export { ServiceAccountService } from "./gen/gatehouse/auth/v1/service_account_pb.js";
export { ProviderService } from "./gen/gatehouse/auth/v1/provider_pb.js";
export { SessionService } from "./gen/gatehouse/auth/v1/session_pb.js";
export { UserService } from "./gen/gatehouse/auth/v1/user_admin_pb.js";
export { UserSessionService } from "./gen/gatehouse/auth/v1/user_session_pb.js";
export { ConversationService } from "./gen/gatehouse/chat/v1/conversation_pb.js";
export { ExportService } from "./gen/gatehouse/chat/v1/export_pb.js";
export { RunService } from "./gen/gatehouse/chat/v1/run_pb.js";
export { CollectionService } from "./gen/gatehouse/knowledge/v1/collection_pb.js";
export { DocumentService } from "./gen/gatehouse/knowledge/v1/document_pb.js";
export { KnowledgeService } from "./gen/gatehouse/knowledge/v1/search_pb.js";
export { AssistantService } from "./gen/gatehouse/management/v1/assistant_pb.js";

export { bearer } from "./bearer.js";
export { followRun, isLast, type FollowOptions } from "./follow.js";
export { problemOf, type Problem, type Violation } from "./problem.js";
