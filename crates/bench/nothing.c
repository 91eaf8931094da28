/* The least that can be started: statically linked, it is what exec and exit cost. */
int main(void)
{
	return 0;
}
